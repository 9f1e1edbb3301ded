#include "worker.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <locale>
#include <new>
#include <random>
#include <sstream>
#include <utility>

#include "resample.hpp"
#include "wav.hpp"

namespace bridge {

namespace {

constexpr int kStep_ms = 10;
constexpr char kPending[] = "pending";
constexpr auto kLoadRetry = std::chrono::seconds(2), kMemoryRetry = std::chrono::seconds(30);
constexpr auto kLoadPatience = std::chrono::seconds(5);

const char* const kCommands[] = {"extend", "loop", "vary", "accompany", "inpaint"};

std::string random_name() {
    std::random_device source;
    return "plugin-" + std::to_string(source()) + "-" + std::to_string(source());
}

// Points `beat:value` with commas where the value changes, counted from the recording's first bar.
template <typename Value>
std::string points(const std::vector<Recording::Bar>& bars, Value value) {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text.precision(9);
    double beat = 0;
    std::string last;
    for (size_t i = 0; i + 1 < bars.size(); ++i) {
        const std::string now = value(bars[i]);
        if (now != last) text << (i > 0 ? "," : "") << beat << ':' << now;
        last = now;
        beat += bars[i].metre.quarters();
    }
    return text.str();
}

std::string tempo_of(const Recording::Bar& bar) {
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text.precision(9);
    text << bar.bpm;
    return text.str();
}

std::string metre_of(const Recording::Bar& bar) {
    return std::to_string(bar.metre.beats) + "/" + std::to_string(bar.metre.unit);
}

}  // namespace

// What a project keeps of a job that it waits for, a line beside those of the takes.
std::string Worker::line_of(const Request& request) {
    if (request.job.empty()) return "";
    std::ostringstream line;
    line.imbue(std::locale::classic());
    line.precision(17);
    line << kPending << ' ' << request.job << ' ' << request.start_frame << ' ';
    line << request.rate_hz << ' ' << request.beside << '\n';
    return line.str();
}

Worker::Request Worker::request_of(const std::string& text) {
    const size_t at = text.rfind(std::string(kPending) + ' ');
    if (at == std::string::npos || (at > 0 && text[at - 1] != '\n')) return {};
    std::istringstream words(text.substr(at));
    words.imbue(std::locale::classic());
    std::string name;
    Request request;
    words >> name >> request.job >> request.start_frame >> request.rate_hz >> request.beside;
    const bool is_request =
        !words.fail() && is_rate(request.rate_hz) && is_in_song(request.start_frame);
    return is_request ? request : Request{};
}

Worker::Worker(Values& values)
    : values_(values), folder_(data_folder()), slot_(random_name()), link_(folder_) {}

Worker::~Worker() {
    stops_ = true;
    if (thread_.joinable()) thread_.join();
}

void Worker::start(double rate_hz) noexcept {
    try {
        if (rate_hz != rate_hz_) {  // hosts stop and start at the same rate, too: the bars are kept
            const std::lock_guard<std::mutex> lock(ring_mutex_);
            rate_hz_ = 0;
            values_.set(kPlayingTake, 0);
            recorder.prepare(is_rate(rate_hz) ? rate_hz : 0);
        }
        rate_hz_ = is_rate(rate_hz) ? rate_hz : 0;
        if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
        await_take();
    } catch (const std::exception&) {  // no memory, or no thread
        tell(kNoMemory);
    }
}

// A bounce plays at once, and faster than in real time: the take at its start would be missed. Only
// files are waited for, never the daemon. Nothing is waited for where all is as it was: some hosts
// stop and start on the audio thread.
void Worker::await_take() {
    std::unique_lock<std::mutex> lock(saved_mutex_);
    const double rate_hz = rate_hz_;
    if (rate_hz == 0 || takes_.find(values_.whole(kTake)) == nullptr) return;
    supplied_.wait_for(lock, kLoadPatience, [this, rate_hz] {
        return supplied_rate_hz_ == rate_hz && supplied_restores_ == restores_;
    });
}

std::string Worker::prompt() const {
    const std::lock_guard<std::mutex> lock(saved_mutex_);
    return prompt_;
}

void Worker::set_prompt(const std::string& prompt) {
    const std::lock_guard<std::mutex> lock(saved_mutex_);
    prompt_ = prompt;
}

std::string Worker::takes() const {
    const std::lock_guard<std::mutex> lock(saved_mutex_);
    // Before the worker runs, what the project was waiting for is not taken up yet.
    return takes_.text() + line_of(saved_request_.job.empty() ? restored_ : saved_request_);
}

void Worker::set_takes(const std::string& text) {
    const std::lock_guard<std::mutex> lock(saved_mutex_);
    takes_.parse(text);
    restored_ = request_of(text);
    ++restores_;
    values_.set(kNewestTake, static_cast<float>(takes_.newest()));
}

void Worker::run() {
    while (!stops_) {
        try {
            work();
        } catch (const std::exception&) {  // no memory; what is thrown here would end the host
            tell(kNoMemory);
            std::this_thread::sleep_for(std::chrono::seconds(1));
        }
    }
}

void Worker::work() {
    link_.step(kStep_ms, [this](const OscReply& reply) { hear(reply); });
    take_up_restored();
    mind_the_link();
    if (const unsigned asked = sends_.load(); asked != sends_seen_) {
        sends_seen_ = asked;
        send_recording();
    }
    if (const unsigned asked = cancels_.load(); asked != cancels_seen_) {
        cancels_seen_ = asked;
        cancel();
    }
    player.collect();  // first, so that the next block has room to take what is supplied
    supply_player();
}

void Worker::follow(Request request) {
    request_ = std::move(request);
    const std::lock_guard<std::mutex> lock(saved_mutex_);
    saved_request_ = request_;
}

// A project that was closed during a render asks after the job when it is opened.
void Worker::take_up_restored() {
    Request restored;
    {
        const std::lock_guard<std::mutex> lock(saved_mutex_);
        std::swap(restored, restored_);
        if (restored.job.empty() || !request_.id.empty()) return;
        restored.id = "n" + std::to_string(++requests_);
        saved_request_ = restored;  // a project saved at this moment keeps it, too
    }
    follow(restored);
    tell(kQueued);
}

void Worker::mind_the_link() {
    const bool is_connected = link_.state() == Link::State::connected;
    values_.set(kDaemon, static_cast<float>(link_.state()));
    if (request_.id.empty() || (is_connected && link_.connections() == request_.connection)) return;
    if (request_.job.empty()) {
        follow({});
        tell(kLost);  // nobody knows whether it arrived
    } else if (is_connected) {
        // The job survives a restart of the daemon: it is asked after and never sent again.
        request_.connection = link_.connections();
        link_.send(OscCommand("watch", request_.id).with("job", request_.job));
        if (request_.cancels) send_cancel();
    }
}

void Worker::send_recording() {
    if (link_.state() != Link::State::connected) return tell(kNoDaemon);
    Recording recording;
    {
        const std::lock_guard<std::mutex> lock(ring_mutex_);
        const auto copied = recorder.copy(values_.whole(kBars), recording);
        if (copied == Recorder::Copied::too_few) return tell(kTooFewBars);
        if (copied == Recorder::Copied::too_long) return tell(kTooLong);
    }
    const Stereo audio{recording.rate_hz, recording.left, recording.right};
    const std::string path = keep_recording(folder_, audio);
    if (path.empty()) return tell(kDiskFull);

    Request request;
    request.id = "n" + std::to_string(++requests_);
    request.connection = link_.connections();
    request.start_frame = recording.start_frame;
    request.rate_hz = recording.rate_hz;
    request.beside = values_.whole(kTask) == kAccompany;
    follow(request);
    values_.set(kProgress, 0);
    if (link_.send(command_for(recording, path))) tell(kSent);
}

OscCommand Worker::command_for(const Recording& recording, const std::string& path) {
    const int task = std::min(std::max(values_.whole(kTask), 0), static_cast<int>(kInpaint));
    OscCommand command(kCommands[task], request_.id);
    command.with("source", path).with("slot", slot_);

    const std::string tempo = points(recording.bars, tempo_of);
    const std::string metre = points(recording.bars, metre_of);
    const bool is_steady = tempo.find(',') == std::string::npos;
    if (is_steady) {
        command.with("bpm", recording.bars.front().bpm);
    } else {
        command.with("tempo_map", tempo);
    }
    command.with("position_beats", 0.0);  // the first sample is a bar line; else that is guessed
    const bool is_one_metre = metre.find(',') == std::string::npos;
    command.with("metre", is_one_metre ? metre_of(recording.bars.front()) : metre);

    const std::string prompt = this->prompt();
    const std::string words = prompt.empty() ? prompt_of_folder(folder_) : prompt;
    if (!words.empty()) command.with("prompt", words);
    command.with("variation", static_cast<double>(values_.get(kVariation)));
    command.with("refine", static_cast<int32_t>(values_.whole(kRefine)));
    const auto new_bars = static_cast<int32_t>(values_.whole(kNewBars));
    if (task == kExtend || task == kLoop) command.with("bars", new_bars);
    if (task == kInpaint) {
        const int last = static_cast<int>(recording.bars.size()) - 1;
        const int from = std::min(values_.whole(kFromBar) - 1, last - 1);
        const int to = std::min(from + new_bars, last);
        const auto second = [&](int bar) {
            return recording.bars[static_cast<size_t>(bar)].at_sample / recording.rate_hz;
        };
        command.with("start", second(from)).with("end", second(to));
    }
    return command;
}

// Before the daemon has named the job, and while it is away, the wish is kept.
void Worker::cancel() {
    if (request_.id.empty()) return;
    request_.cancels = true;
    tell(kCancelling);
    if (!request_.job.empty()) send_cancel();
}

void Worker::send_cancel() {
    link_.send(OscCommand("cancel", "cancel").with("job", request_.job));
}

void Worker::hear(const OscReply& reply) {
    if (request_.id.empty() || reply.text(0) != request_.id) return;
    if (reply.name == "accepted") {
        Request request = request_;
        request.job = reply.text(1);
        follow(request);
        if (!request_.cancels) return tell(kQueued);
        send_cancel();
    } else if (reply.name == "progress") {
        if (!request_.cancels) tell(kRendering);
        const double fraction = reply.number(3);
        if (is_between(fraction, 0, 1)) values_.set(kProgress, static_cast<float>(100 * fraction));
    } else if (reply.name == "done") {
        hear_done(reply);
    } else if (reply.name == "cancelled") {
        follow({});
        tell(kCancelled);
    } else if (reply.name == "failed") {
        hear_failed(reply);
    }
}

void Worker::hear_done(const OscReply& reply) {
    Take take;
    take.id = reply.text(2);
    take.path = reply.text(3);
    take.start_frame = request_.start_frame + frame_of(reply.number(4));
    take.rate_hz = request_.rate_hz;
    take.beside = request_.beside;
    follow({});
    values_.set(kProgress, 100);
    {
        const std::lock_guard<std::mutex> lock(saved_mutex_);
        values_.set(kNewestTake, static_cast<float>(takes_.add(take)));
    }
    tell(kTakeReady);
    supply_player();  // which says so when the file is missing
}

void Worker::hear_failed(const OscReply& reply) {
    const std::string code = reply.text(1);
    follow({});
    note(folder_, code + ": " + reply.text(2) + "; " + reply.text(3));
    tell(code == "unavailable" ? kBusy : kFailed);
}

void Worker::supply_player() {
    const double rate_hz = rate_hz_;
    if (rate_hz == 0) return;
    int number = values_.whole(kTake);
    unsigned restores = 0;
    Take take;
    {
        const std::lock_guard<std::mutex> lock(saved_mutex_);
        restores = restores_;
        if (number == 0) number = takes_.newest();
        if (const Take* chosen = takes_.find(number)) take = *chosen;
    }
    play(take, take.serial == 0 ? 0 : number, rate_hz);
    const std::lock_guard<std::mutex> lock(saved_mutex_);
    if (supplied_rate_hz_ == rate_hz && supplied_restores_ == restores) return;
    supplied_rate_hz_ = rate_hz;
    supplied_restores_ = restores;
    supplied_.notify_all();
}

// Loads what is chosen when it is not what plays.
void Worker::play(const Take& take, int number, double rate_hz) {
    const bool is_same = take.serial == playing_serial_ && take.path == playing_path_;
    if (is_same && rate_hz == playing_rate_hz_) return;
    const auto now = std::chrono::steady_clock::now();
    if (is_same && playing_rate_hz_ == 0 && now < next_load_) return;

    auto loaded = std::make_unique<LoadedTake>();
    const Status problem = take.serial == 0 ? kIdle : load(take, rate_hz, *loaded);
    const bool is_loaded = problem == kIdle;
    playing_serial_ = take.serial;
    playing_path_ = take.path;
    playing_rate_hz_ = is_loaded ? rate_hz : 0;  // 0: another try follows
    next_load_ = now + (problem == kNoMemory ? kMemoryRetry : kLoadRetry);
    const int status = values_.whole(kStatus);
    if (!is_loaded) {
        loaded.reset();
        tell(problem);
    } else if (status == kTakeMissing || status == kNoMemory) {
        tell(kIdle);
    }
    player.offer(std::move(loaded));
    values_.set(kPlayingTake, static_cast<float>(is_loaded ? number : 0));
}

// `kIdle` when it is loaded, else what is to be told.
Status Worker::load(const Take& take, double rate_hz, LoadedTake& loaded) {
    std::string problem;
    try {
        if (fill(take, rate_hz, loaded, problem)) return kIdle;
    } catch (const std::bad_alloc&) {
        loaded = LoadedTake{};
        problem = take.path + " needs more memory than there is";
        if (take.path != playing_path_) note(folder_, problem);
        return kNoMemory;
    }
    if (take.path != playing_path_) note(folder_, problem);
    return kTakeMissing;
}

bool Worker::fill(const Take& take, double rate_hz, LoadedTake& loaded, std::string& problem) {
    Stereo audio;
    if (!read_wav(take.path, audio, problem)) return false;
    loaded.left = resampled(audio.left, audio.rate_hz, rate_hz);
    loaded.right = resampled(audio.right, audio.rate_hz, rate_hz);
    const auto start_frame = static_cast<double>(take.start_frame);
    loaded.start_frame = frame_of(start_frame * rate_hz / take.rate_hz);
    loaded.rate_hz = rate_hz;
    loaded.beside = take.beside;
    return true;
}

}  // namespace bridge
