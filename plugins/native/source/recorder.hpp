// What passed through the track, by bars: a ring that the audio thread fills, the worker reads.
//
// One writer, one reader, no lock. The writer announces what it is about to overwrite (`claimed_`)
// before it writes; a reader copies first and then looks whether its samples were claimed since.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "transport.hpp"

namespace bridge {

// Whole bars cut out of the ring.
struct Recording {
    struct Bar {
        int64_t at_sample = 0;  // counted from the recording's first sample
        double bpm = 120;       // one for the whole bar: it leads to the next bar's sample
        Metre metre;
    };

    double rate_hz = 0;
    int64_t start_frame = 0;  // where the first sample stands in the song
    std::vector<float> left, right;
    std::vector<Bar> bars;  // and a last one, of which only the place counts: where they end
};

class Recorder {
public:
    static constexpr double kLength_s = 60.0;

    // Makes an empty ring for this rate. Not for the audio thread. Throws std::bad_alloc, and then
    // records nothing.
    void prepare(double rate_hz);

    // Audio thread: takes one block. `continues` as SongClock says.
    void write(const Transport& transport, bool continues, const float* left, const float* right,
               uint32_t length_samples);

    enum class Copied { whole, too_few, too_long };

    // Worker: takes the newest `count` whole bars between which nothing is missing.
    Copied copy(int count, Recording& recording) const;

    // Whole bars that are kept of the newest run that has any. Any thread.
    int whole_bars() const { return whole_bars_.load(std::memory_order_relaxed); }

private:
    struct BarLine {
        uint64_t at = 0;       // samples written before it since `prepare`
        int64_t frame = 0;     // the same place in the song
        uint32_t run = 0;      // lines of one run have unbroken audio and whole bars between them
        double bpm = 120;      // what the host said last in the bar that this line ends
        Metre metre;           // of that bar
    };
    static constexpr uint64_t kLines = 1024;

    void begin_run();
    void part_bars();
    bool follow_bar(const Transport& transport);
    void mark_bar_lines(const Transport& transport, uint32_t length_samples);
    void mark(uint64_t at, int64_t frame, const Transport& inside);
    void store(const float* left, const float* right, uint32_t length_samples);
    int bars_kept() const;
    bool is_intact(uint64_t at, uint64_t ahead_samples = 0) const;

    double rate_hz_ = 0;
    uint64_t capacity_samples_ = 0;
    // Relaxed atomics compile to plain moves; they make the race with a reader a defined one.
    std::unique_ptr<std::atomic<float>[]> left_, right_;
    std::atomic<uint64_t> claimed_{0}, written_{0};
    std::array<BarLine, kLines> lines_;
    std::atomic<uint64_t> line_count_{0};
    std::atomic<int> whole_bars_{0};

    // Audio thread only.
    BarLine last_line_;
    Transport last_;
    uint32_t last_samples_ = 0;  // length of the last block
    uint32_t run_ = 0;
    bool has_line_ = false;      // in this run
    int64_t end_frame_ = 0;      // of the last block
    double next_line_at_ = -1;   // expected by the last block, in samples written; -1 without one
};

}  // namespace bridge
