// The parameters, one row each; hosts show them in this order and save them by it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

namespace bridge {

enum ParameterId {
    kTask, kBars, kNewBars, kFromBar, kVariation, kRefine, kTake, kMix, kRepeat, kSend, kCancel,
    kDaemon, kStatus, kProgress, kBarsReady, kNewestTake, kPlayingTake,
    kParameterCount
};

enum Task { kExtend, kLoop, kVary, kAccompany, kInpaint };

enum Status {
    kIdle, kAsked, kSent, kQueued, kRendering, kTakeReady, kTooFewBars, kTooLong, kNoDaemon, kLost,
    kCancelled, kFailed, kBusy, kTakeMissing, kDiskFull, kNoMemory, kCancelling
};

enum ParameterKind { kNumber, kWhole, kSwitch, kChoice, kOutput, kCounter };

// Labels of a choice, ended by a null.
using Labels = const char* const*;

struct Parameter {
    const char* name;
    const char* symbol;
    const char* unit;
    float initial, least, most;
    ParameterKind kind;
    Labels labels;
    const char* description;
};

constexpr const char* kTaskLabels[] = {"Extend", "Loop", "Vary", "Accompany", "Inpaint", nullptr};
constexpr const char* kDaemonLabels[] = {"Absent: run daw-bridge serve", "Connected",
                                         "Refused: another token",
                                         "Silent: restart daw-bridge serve", nullptr};
constexpr const char* kStatusLabels[] = {
    "Idle",
    "Taking the bars",
    "Sent",
    "Queued",
    "Rendering",
    "Take ready",
    "Too few bars: let the host play them first",
    "Too long: 60 s are kept, send fewer bars",
    "Not sent: no daemon, run daw-bridge serve",
    "Connection lost: send again",
    "Cancelled",
    "Failed: see logs/plugin.log",
    "Daemon busy: send again later",
    "Take's file is missing",
    "Recording not written: see the disk",
    "Not enough memory",
    "Cancelling",
    nullptr};

constexpr std::array<Parameter, kParameterCount> kParameters{{
    {"Task", "task", "", kExtend, kExtend, kInpaint, kChoice, kTaskLabels,
     "what the daemon makes of the recorded bars"},
    {"Bars", "bars", "bars", 4, 1, 32, kWhole, nullptr, "whole bars that are sent, the newest"},
    {"New bars", "new_bars", "bars", 4, 1, 64, kWhole, nullptr,
     "length of the extension, of the loop, or of what is replaced"},
    {"From bar", "from_bar", "", 1, 1, 32, kWhole, nullptr,
     "inpaint: first bar that is replaced, counted in the bars sent"},
    {"Variation", "variation", "", 0.5f, 0, 1, kNumber, nullptr,
     "0 keeps the material, 1 is newly generated"},
    {"Refine", "refine", "steps", 0, 0, 200, kWhole, nullptr,
     "steps of refinement; 0 gives the draft"},
    {"Take", "take", "", 0, 0, 8, kWhole, nullptr, "the take that plays; 0 is the newest"},
    {"Dry/Wet", "mix", "", 1, 0, 1, kNumber, nullptr,
     "0 is the track, 1 the take where it lies; an accompaniment is added to the track"},
    {"Repeat", "repeat", "", 0, 0, 1, kSwitch, nullptr, "plays the take again and again"},
    {"Send", "send", "", 0, 0, 1, kSwitch, nullptr, "sends the newest bars to the daemon"},
    {"Cancel", "cancel", "", 0, 0, 1, kSwitch, nullptr, "stops the render"},
    {"Daemon", "daemon", "", 0, 0, 3, kOutput, kDaemonLabels, "whether the daemon answers"},
    {"Status", "status", "", 0, 0, kCancelling, kOutput, kStatusLabels, "how the last request goes"},
    {"Progress", "progress", "%", 0, 0, 100, kOutput, nullptr, "of the render"},
    {"Bars ready", "bars_ready", "bars", 0, 0, 1000, kCounter, nullptr,
     "whole bars recorded without a break"},
    {"Newest take", "newest_take", "", 0, 0, 8, kCounter, nullptr, "its number; 0 without takes"},
    {"Playing take", "playing_take", "", 0, 0, 8, kCounter, nullptr, "the one that is loaded"},
}};

// Values that host, audio thread and worker share.
class Values {
public:
    Values() {
        for (size_t i = 0; i < kParameterCount; ++i) values_[i] = kParameters[i].initial;
    }
    float get(int id) const {
        return values_[static_cast<size_t>(id)].load(std::memory_order_relaxed);
    }
    int whole(int id) const { return static_cast<int>(get(id) + 0.5f); }
    // What a host says: brought into the parameter's range. A value that is no number changes
    // nothing, and neither does one of an output.
    void set_from_host(int id, float value) {
        const Parameter& row = kParameters[static_cast<size_t>(id)];
        if (row.kind == kOutput || row.kind == kCounter || std::isnan(value)) return;
        set(id, std::min(std::max(value, row.least), row.most));
    }
    void set(int id, float value) {
        values_[static_cast<size_t>(id)].store(value, std::memory_order_relaxed);
    }

private:
    std::array<std::atomic<float>, kParameterCount> values_;
};

}  // namespace bridge
