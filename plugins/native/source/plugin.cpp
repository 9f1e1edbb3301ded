// The plugin as DPF asks for it. Everything real is in the other files.
#include <atomic>
#include <cmath>
#include <cstring>

#include "DistrhoPlugin.hpp"
#include "worker.hpp"

START_NAMESPACE_DISTRHO

class NativePlugin : public Plugin {
public:
    NativePlugin() : Plugin(bridge::kParameterCount, 0, kStateCount), worker_(values_) {}

protected:
    const char* getLabel() const override { return "daw_bridge"; }
    const char* getDescription() const override {
        return "Records the track by bars, sends them to daw-bridge and plays the takes in time";
    }
    const char* getMaker() const override { return "daw-bridge"; }
    const char* getLicense() const override { return "MIT"; }
    uint32_t getVersion() const override { return d_version(0, 1, 0); }
    int64_t getUniqueId() const override { return d_cconst('d', 'w', 'b', 'r'); }

    // Hosts show and save the parameters by these rows.
    void initParameter(uint32_t index, Parameter& parameter) override {
        const bridge::Parameter& row = bridge::kParameters[index];
        parameter.name = row.name;
        parameter.symbol = row.symbol;
        parameter.unit = row.unit;
        parameter.description = row.description;
        parameter.ranges = ParameterRanges(row.initial, row.least, row.most);
        const bool is_output = row.kind == bridge::kOutput || row.kind == bridge::kCounter;
        parameter.hints = is_output ? kParameterIsOutput : kParameterIsAutomatable;
        if (row.kind == bridge::kSwitch) parameter.hints |= kParameterIsBoolean;
        if (row.kind == bridge::kWhole || row.kind == bridge::kCounter)
            parameter.hints |= kParameterIsInteger;
        if (row.labels != nullptr) name_values(parameter, row.labels);
    }

    void initState(uint32_t index, State& state) override {
        state.key = kStateKeys[index];
        state.label = index == kPrompt ? "Prompt" : "Takes";
        state.description = index == kPrompt ? "words for style, mood and instruments"
                                             : "the last takes and their places";
        state.hints = index == kPrompt ? kStateIsHostWritable : kStateIsOnlyForDSP;
    }

    String getState(const char* key) const override {
        const bool is_prompt = std::strcmp(key, kStateKeys[kPrompt]) == 0;
        return String((is_prompt ? worker_.prompt() : worker_.takes()).c_str());
    }

    void setState(const char* key, const char* value) override {
        if (std::strcmp(key, kStateKeys[kPrompt]) == 0) {
            worker_.set_prompt(value);
        } else if (std::strcmp(key, kStateKeys[kTakes]) == 0) {
            worker_.set_takes(value);
        }
    }

    float getParameterValue(uint32_t index) const override {
        // A button is never found pressed: a project must not send anything when it is opened.
        if (index == bridge::kSend || index == bridge::kCancel) return 0;
        if (index == bridge::kBarsReady) return static_cast<float>(worker_.recorder.whole_bars());
        return values_.get(static_cast<int>(index));
    }

    void setParameterValue(uint32_t index, float value) override {
        if (index == bridge::kSend) {
            if (send_.is_pressed(value)) worker_.ask_to_send();
        } else if (index == bridge::kCancel) {
            if (cancel_.is_pressed(value)) worker_.ask_to_cancel();
        } else {
            values_.set_from_host(static_cast<int>(index), value);
        }
    }

    void activate() override {
        clock_.reset();
        worker_.start(getSampleRate());
    }

    void run(const float** inputs, float** outputs, uint32_t length_samples) override {
        const double rate_hz = worker_.rate_hz();
        bridge::Transport transport;
        if (rate_hz > 0) {
            send_.pass(length_samples, rate_hz);
            cancel_.pass(length_samples, rate_hz);
            transport = transport_of(getTimePosition());
        }
        const bool continues = clock_.follow(transport, length_samples);
        bridge::sharpen(transport, rate_hz);
        worker_.recorder.write(transport, continues, inputs[0], inputs[1], length_samples);
        worker_.player.process(transport, rate_hz, values_.get(bridge::kMix),
                               values_.whole(bridge::kRepeat) == 1, inputs, outputs,
                               length_samples);
    }

private:
    enum { kPrompt, kTakes, kStateCount };
    static constexpr const char* kStateKeys[] = {"prompt", "takes"};

    // A parameter that acts as a button. A host may tell a value again and again, and sets values
    // before it plays anything: one press is one press, and none comes before the first block.
    class Button {
    public:
        bool is_pressed(float value) {
            if (!(value >= 0.5f)) return false;  // nor is what is no number a press
            const bool is_new = rest_s_.exchange(0, std::memory_order_relaxed) >= kRest_s;
            return is_new && has_run_.load(std::memory_order_relaxed);
        }
        void pass(uint32_t length_samples, double rate_hz) {
            const double rest_s = rest_s_.load(std::memory_order_relaxed);
            if (rest_s < kRest_s)
                rest_s_.store(rest_s + length_samples / rate_hz, std::memory_order_relaxed);
            has_run_.store(true, std::memory_order_relaxed);
        }

    private:
        static constexpr double kRest_s = 0.25;
        std::atomic<double> rest_s_{kRest_s};
        std::atomic<bool> has_run_{false};
    };

    static void name_values(Parameter& parameter, bridge::Labels labels) {
        uint8_t count = 0;
        while (labels[count] != nullptr) ++count;
        auto* values = new ParameterEnumerationValue[count];  // DPF frees them
        for (uint8_t i = 0; i < count; ++i) values[i] = ParameterEnumerationValue(i, labels[i]);
        parameter.enumValues.count = count;
        parameter.enumValues.restrictedMode = true;
        parameter.enumValues.values = values;
        parameter.hints |= kParameterIsInteger;
    }

    static bridge::Transport transport_of(const TimePosition& position) {
        bridge::Transport transport;
        const TimePosition::BarBeatTick& bbt = position.bbt;
        const auto frame = static_cast<int64_t>(position.frame);
        if (!bridge::is_in_song(frame)) return transport;  // stands still
        transport.rolling = position.playing;
        transport.frame = frame;
        const double beats = bbt.beat - 1.0 + bbt.tick / bbt.ticksPerBeat;
        transport.musical =
            bbt.valid && bridge::is_between(bbt.beatsPerBar, 1, bridge::kMostBeats) &&
            bridge::is_between(bbt.beatsPerMinute, bridge::kSlowest_bpm, bridge::kFastest_bpm) &&
            bridge::is_between(bbt.beatType, 1, bridge::kMostUnit) && std::isfinite(beats);
        if (!transport.musical) return transport;
        const auto unit = static_cast<int>(bbt.beatType + 0.5f);
        transport.metre = {static_cast<int>(bbt.beatsPerBar + 0.5f), unit};
        transport.bpm = bridge::meant_bpm(bbt.beatsPerMinute);
        // A beat beyond the bar counts on from the next one.
        const double bar = transport.metre.beats;
        transport.bar_quarters = (beats - std::floor(beats / bar) * bar) * 4.0 / unit;
        return transport;
    }

    bridge::Values values_;
    bridge::Worker worker_;
    bridge::SongClock clock_;
    Button send_, cancel_;

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(NativePlugin)
};

Plugin* createPlugin() { return new NativePlugin(); }

END_NAMESPACE_DISTRHO
