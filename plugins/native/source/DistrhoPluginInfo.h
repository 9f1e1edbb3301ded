// What DPF must know of the plugin at compile time.
#pragma once

#define DISTRHO_PLUGIN_BRAND "daw-bridge"
#define DISTRHO_PLUGIN_NAME "daw-bridge"
#define DISTRHO_PLUGIN_URI "urn:daw-bridge:native"
#define DISTRHO_PLUGIN_CLAP_ID "daw-bridge.native"
#define DISTRHO_PLUGIN_CLAP_FEATURES "audio-effect", "utility", "stereo"
#define DISTRHO_PLUGIN_LV2_CATEGORY "lv2:UtilityPlugin"
#define DISTRHO_PLUGIN_VST3_CATEGORIES "Fx|Tools|Stereo"

#define DISTRHO_PLUGIN_HAS_UI 0
#define DISTRHO_PLUGIN_IS_RT_SAFE 1
#define DISTRHO_PLUGIN_NUM_INPUTS 2
#define DISTRHO_PLUGIN_NUM_OUTPUTS 2
#define DISTRHO_PLUGIN_WANT_TIMEPOS 1
#define DISTRHO_PLUGIN_WANT_STATE 1
#define DISTRHO_PLUGIN_WANT_FULL_STATE 1
