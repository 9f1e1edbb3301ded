// Where the host's song is at the first sample of a block, in our own terms.
#pragma once

#include <cmath>
#include <cstdint>

namespace bridge {

struct Metre {
    int beats = 4;
    int unit = 4;  // 8 in 6/8

    bool operator==(const Metre& other) const { return beats == other.beats && unit == other.unit; }
    double quarters() const { return 4.0 * beats / unit; }
};

struct Transport {
    bool rolling = false;
    bool musical = false;  // tempo, metre and place in the bar are known
    int64_t frame = 0;     // samples from the song's start; may be negative before it
    double bar_quarters = 0;  // quarter notes since the bar began
    double bpm = 120;         // quarter notes a minute
    Metre metre;
};

// Within these a host's tempo is one of music; beyond them bars would be shorter than a sample, or
// longer than what is kept.
constexpr double kSlowest_bpm = 5, kFastest_bpm = 2000;
constexpr int kMostBeats = 256, kMostUnit = 256;
// Some six hundred years: sums of such frames still fit in 64 bits, and in a double.
constexpr int64_t kFarthestFrame = int64_t{1} << 50;
// Sample rates of audio, in Hz.
constexpr double kLeastRate_hz = 1000, kMostRate_hz = 1e6;

// Both are false for what is no number.
inline bool is_between(double value, double least, double most) {
    return value >= least && value <= most;
}
inline bool is_rate(double rate_hz) { return is_between(rate_hz, kLeastRate_hz, kMostRate_hz); }

inline bool is_in_song(int64_t frame) {
    return frame >= -kFarthestFrame && frame <= kFarthestFrame;
}

// The frame nearest to a number of samples; 0 for one that is no place in a song.
inline int64_t frame_of(double samples) {
    const auto farthest = static_cast<double>(kFarthestFrame);
    return is_between(samples, -farthest, farthest) ? std::llround(samples) : 0;
}

// LV2 tells tempos in single precision: 97.3 arrives as 97.30000305 and is meant as 97.3.
inline double meant_bpm(double told_bpm) {
    const bool is_single = static_cast<double>(static_cast<float>(told_bpm)) == told_bpm;
    return is_single ? std::round(told_bpm * 1e4) / 1e4 : told_bpm;
}

// Ardour, for one, tells the place in the bar in ticks of 1/1920 quarter, some ten samples. Where
// that fits a song whose tempo and metre are steady from its start, the frame says it exactly.
inline void sharpen(Transport& transport, double rate_hz) {
    constexpr double kTick_quarters = 1.0 / 1920;
    if (!transport.musical) return;
    const double bar = transport.metre.quarters();
    const double song = static_cast<double>(transport.frame) / rate_hz * transport.bpm / 60;
    const double exact = song - std::floor(song / bar) * bar;
    const double beside = std::abs(transport.bar_quarters - exact);
    const bool fits = std::fmin(beside, bar - beside) <= 1.01 * kTick_quarters;
    if (fits) transport.bar_quarters = exact;
}

// Follows the host's position from block to block.
//
// Hosts that count in seconds or beats round, so a position may stand a sample beside where the
// last block ended. Within `kSlackSamples` that is the same run; more is a seek or a loop's jump.
class SongClock {
public:
    // Corrects `transport.frame`; true when the block carries on where the last one ended.
    bool follow(Transport& transport, uint32_t length_samples) {
        bool continues = transport.rolling && was_rolling_;
        if (continues) {
            const int64_t beside = transport.frame - expected_frame_;
            continues = beside >= -kSlackSamples && beside <= kSlackSamples;
        }
        if (continues) transport.frame = expected_frame_;
        was_rolling_ = transport.rolling;
        expected_frame_ = transport.frame + length_samples;
        return continues;
    }

    void reset() { was_rolling_ = false; }

private:
    static constexpr int64_t kSlackSamples = 2;
    bool was_rolling_ = false;
    int64_t expected_frame_ = 0;
};

}  // namespace bridge
