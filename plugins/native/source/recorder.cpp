#include "recorder.hpp"

#include <algorithm>
#include <cmath>

namespace bridge {

namespace {
constexpr auto relaxed = std::memory_order_relaxed;
}

void Recorder::prepare(double rate_hz) {
    rate_hz_ = rate_hz;
    capacity_samples_ = 0;  // stays so when there is no memory
    const auto capacity_samples = static_cast<uint64_t>(std::ceil(kLength_s * rate_hz));
    left_.reset();
    right_.reset();
    left_.reset(new std::atomic<float>[capacity_samples]);
    right_.reset(new std::atomic<float>[capacity_samples]);
    capacity_samples_ = capacity_samples;
    for (uint64_t i = 0; i < capacity_samples_; ++i) {
        // Every page is touched now, so that none has to be found in the audio callback.
        left_[i].store(0.0f, relaxed);
        right_[i].store(0.0f, relaxed);
    }
    claimed_ = written_ = line_count_ = 0;
    whole_bars_ = 0;
    last_line_ = BarLine{};
    last_ = Transport{};
    run_ = 0;
    has_line_ = false;
    next_line_at_ = -1;
}

void Recorder::write(const Transport& transport, bool continues, const float* left,
                     const float* right, uint32_t length_samples) {
    if (capacity_samples_ == 0) return;
    if (!continues && last_.rolling) begin_run();
    last_ = transport;
    if (!transport.rolling) return;
    if (transport.musical) {
        mark_bar_lines(transport, length_samples);
    } else {
        next_line_at_ = -1;
    }
    store(left, right, length_samples);
    end_frame_ = transport.frame + length_samples;
}

// A loop jumps away, and a transport stops, right at a bar line: that line still ends a bar.
void Recorder::begin_run() {
    const double end = static_cast<double>(written_.load(relaxed));
    if (has_line_ && next_line_at_ >= 0 && std::abs(next_line_at_ - end) <= 1.0)
        mark(written_.load(relaxed), end_frame_, last_.bpm, last_.metre);
    ++run_;
    has_line_ = false;
    next_line_at_ = -1;
}

void Recorder::mark_bar_lines(const Transport& transport, uint32_t length_samples) {
    const double quarter_samples = rate_hz_ * 60.0 / transport.bpm;
    const double bar_samples = transport.metre.quarters() * quarter_samples;
    const uint64_t begin = written_.load(relaxed);
    double offset = -transport.bar_quarters * quarter_samples;
    // A line half a sample before the block may have been rounded out of the block before.
    for (; std::floor(offset + 0.5) < length_samples; offset += bar_samples) {
        const double whole = std::floor(offset + 0.5);
        if (whole < -1) continue;
        const auto at = static_cast<uint32_t>(std::max(whole, 0.0));
        const bool is_new = !has_line_ ||
                            static_cast<double>(begin + at - last_line_.at) > 0.5 * bar_samples;
        if (is_new) mark(begin + at, transport.frame + at, transport.bpm, transport.metre);
    }
    next_line_at_ = static_cast<double>(begin) + offset;
}

void Recorder::mark(uint64_t at, int64_t frame, double bpm, Metre metre) {
    last_line_ = BarLine{at, frame, run_, bpm, metre};
    const uint64_t index = line_count_.load(relaxed);
    lines_[index % kLines] = last_line_;
    line_count_.store(index + 1, std::memory_order_release);
    if (has_line_) whole_bars_.store(bars_kept(), relaxed);
    has_line_ = true;
}

int Recorder::bars_kept() const {
    const uint64_t end = line_count_.load(relaxed);
    const uint64_t bar_samples = last_line_.at - lines_[(end - 2) % kLines].at;
    int bars = -1;  // one line is no bar yet
    for (uint64_t i = end; i > 0 && end - i < kLines; --i, ++bars) {
        const BarLine& line = lines_[(i - 1) % kLines];
        if (line.run != last_line_.run || !is_intact(line.at, bar_samples)) break;
    }
    return bars;
}

void Recorder::store(const float* left, const float* right, uint32_t length_samples) {
    const uint64_t begin = written_.load(relaxed);
    claimed_.store(begin + length_samples, relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    uint64_t place = begin % capacity_samples_;
    for (uint32_t i = 0; i < length_samples; ++i) {
        left_[place].store(left[i], relaxed);
        right_[place].store(right[i], relaxed);
        if (++place == capacity_samples_) place = 0;
    }
    written_.store(begin + length_samples, std::memory_order_release);
}

// Whether what was written from there on is still there, and will be so many samples later.
bool Recorder::is_intact(uint64_t at, uint64_t ahead_samples) const {
    return claimed_.load(relaxed) + ahead_samples <= at + capacity_samples_;
}

Recorder::Copied Recorder::copy(int count, Recording& recording) const {
    const uint64_t written = written_.load(std::memory_order_acquire);
    const uint64_t end = line_count_.load(std::memory_order_acquire);
    const uint64_t oldest = end > kLines / 2 ? end - kLines / 2 : 0;
    const auto bars = static_cast<uint64_t>(count);
    uint64_t last = end;
    for (; last > oldest + bars; --last) {
        const BarLine& to = lines_[(last - 1) % kLines];
        if (to.at <= written && lines_[(last - 1 - bars) % kLines].run == to.run) break;
    }
    if (last <= oldest + bars) return Copied::too_few;

    std::vector<BarLine> found;
    for (uint64_t i = last - 1 - bars; i < last; ++i) found.push_back(lines_[i % kLines]);
    const uint64_t begin = found.front().at;
    const uint64_t length = found.back().at - begin;
    if (!is_intact(begin)) return Copied::too_long;

    recording = Recording{};
    recording.rate_hz = rate_hz_;
    recording.start_frame = found.front().frame;
    recording.left.resize(length);
    recording.right.resize(length);
    for (uint64_t i = 0; i < length; ++i) {
        const uint64_t place = (begin + i) % capacity_samples_;
        recording.left[i] = left_[place].load(relaxed);
        recording.right[i] = right_[place].load(relaxed);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (!is_intact(begin)) return Copied::too_long;
    for (const BarLine& line : found)
        recording.bars.push_back({static_cast<int64_t>(line.at - begin), line.bpm, line.metre});
    return Copied::whole;
}

}  // namespace bridge
