#include "recorder.hpp"

#include <algorithm>
#include <cmath>

namespace bridge {

namespace {
constexpr auto relaxed = std::memory_order_relaxed;
// Lines lie on samples: two of them round a steady tempo's bars by one sample at most.
constexpr double kRounding_samples = 1.5;
}  // namespace

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
    last_samples_ = 0;
    run_ = 0;
    has_line_ = false;
    next_line_at_ = -1;
}

void Recorder::write(const Transport& transport, bool continues, const float* left,
                     const float* right, uint32_t length_samples) {
    if (capacity_samples_ == 0) return;
    // Where the host tells no bars, some may pass unseen: those before and after are parted.
    if (!(continues && transport.musical) && last_.rolling) begin_run();
    if (transport.rolling) {
        if (transport.musical) mark_bar_lines(transport, length_samples);
        store(left, right, length_samples);
        end_frame_ = transport.frame + length_samples;
    }
    last_ = transport;
    last_samples_ = length_samples;
}

// A loop jumps away, and a transport stops, right at a bar line: that line still ends a bar.
void Recorder::begin_run() {
    const double end = static_cast<double>(written_.load(relaxed));
    if (has_line_ && next_line_at_ >= 0 && std::abs(next_line_at_ - end) <= 1.0)
        mark(written_.load(relaxed), end_frame_, last_);
    part_bars();
    next_line_at_ = -1;
}

void Recorder::part_bars() {
    ++run_;
    has_line_ = false;
}

// Compares a block's place in its bar with the place that the block before led to. True when a bar
// line lies between them that is not marked: a tempo that rises brings it sooner than expected, and
// a change of metre may end a bar anywhere. Such a bar is not whole, so it parts the others.
bool Recorder::follow_bar(const Transport& transport) {
    if (next_line_at_ < 0) return false;
    const double quarter_samples = rate_hz_ * 60.0 / last_.bpm;
    const double bar = last_.metre.quarters();
    const double left_samples = next_line_at_ - static_cast<double>(written_.load(relaxed));
    const double behind = bar - left_samples / quarter_samples - transport.bar_quarters;
    // Half a beat is more than any rounding; within a block the tempo may change, too.
    const double slack = 2.0 / last_.metre.unit + last_samples_ / quarter_samples;
    const double beside = std::abs(behind);
    if (std::min(beside, std::abs(beside - bar)) > slack) part_bars();
    return behind > slack;
}

void Recorder::mark_bar_lines(const Transport& transport, uint32_t length_samples) {
    const bool is_line_due = follow_bar(transport);
    const bool is_first = next_line_at_ < 0;
    const double quarter_samples = rate_hz_ * 60.0 / transport.bpm;
    const double bar_samples = transport.metre.quarters() * quarter_samples;
    const auto begin = static_cast<int64_t>(written_.load(relaxed));
    // How far before the block a line is sought; the first block's place may be rounded up.
    const double reach = is_line_due ? last_samples_ : 0.0;
    double offset = -transport.bar_quarters * quarter_samples;
    for (; std::floor(offset + 0.5) < length_samples; offset += bar_samples) {
        const double whole = std::floor(offset + 0.5);
        if (whole < -1 && !is_line_due) continue;
        const auto at = static_cast<int64_t>(std::max(whole, -reach));
        // Metre and tempo may change with the line, so a block tells those of the bar it begins in.
        const Transport& inside = at > 0 || is_first ? transport : last_;
        const double half_beat_samples = 2.0 / inside.metre.unit * rate_hz_ * 60.0 / inside.bpm;
        const auto since = static_cast<double>(begin + at - static_cast<int64_t>(last_line_.at));
        // A line that is rounded into two blocks is marked once.
        if (!has_line_ || since > half_beat_samples)
            mark(static_cast<uint64_t>(begin + at), transport.frame + at, inside);
    }
    next_line_at_ = static_cast<double>(begin) + offset;
}

// `inside` is of a block that began in the bar that the line ends.
void Recorder::mark(uint64_t at, int64_t frame, const Transport& inside) {
    last_line_ = BarLine{at, frame, run_, inside.bpm, inside.metre};
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
    double led_to = 0;  // the sample to which the tempi so far lead
    for (size_t i = 0; i + 1 < found.size(); ++i) {
        const BarLine& end = found[i + 1];
        const auto end_sample = static_cast<double>(end.at - begin);
        const double bar_samples_at_1_bpm = end.metre.quarters() * 60.0 * rate_hz_;
        // The host's own figure is exact where the tempo was steady. Otherwise the bar's length
        // says it; errors do not add up, since every bar begins where those before it led.
        double bpm = end.bpm;
        if (std::abs(led_to + bar_samples_at_1_bpm / bpm - end_sample) > kRounding_samples)
            bpm = bar_samples_at_1_bpm / (end_sample - led_to);
        led_to += bar_samples_at_1_bpm / bpm;
        recording.bars.push_back({static_cast<int64_t>(found[i].at - begin), bpm, end.metre});
    }
    recording.bars.push_back({static_cast<int64_t>(length), found.back().bpm, found.back().metre});
    return Copied::whole;
}

}  // namespace bridge
