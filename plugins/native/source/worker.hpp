// The thread beside the audio thread: it sends recordings, receives takes and loads them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "link.hpp"
#include "parameters.hpp"
#include "player.hpp"
#include "recorder.hpp"
#include "takes.hpp"

namespace bridge {

class Worker {
public:
    explicit Worker(Values& values);
    ~Worker();

    // Begins to work at this rate, or goes on at another. Not for the audio thread.
    // At one that is none of audio, or without memory for the recording, it stands still.
    // Waits some seconds at most for the chosen take where that is not loaded yet.
    void start(double rate_hz) noexcept;

    // The rate that it works at, 0 while it stands still.
    double rate_hz() const { return rate_hz_.load(std::memory_order_relaxed); }

    // Wishes of the musician, from any thread: no lock, no system call.
    void ask_to_send() {
        tell(kAsked);
        sends_.fetch_add(1, std::memory_order_release);
    }
    void ask_to_cancel() { cancels_.fetch_add(1, std::memory_order_relaxed); }

    // What the project saves. Not for the audio thread.
    std::string prompt() const;
    void set_prompt(const std::string& prompt);
    std::string takes() const;
    void set_takes(const std::string& text);

    Recorder recorder;  // written by the audio thread
    Player player;      // played by the audio thread

private:
    // A request on its way. Without a job the daemon has not answered yet.
    struct Request {
        std::string id, job;
        unsigned connection = 0;  // the one that it was sent on, or asked after
        int64_t start_frame = 0;
        double rate_hz = 0;
        bool beside = false;
        bool cancels = false;  // the daemon is told as soon as there is a job
    };

    static std::string line_of(const Request& request);
    static Request request_of(const std::string& text);

    void await_take();
    void run();
    void work();
    void follow(Request request);
    void take_up_restored();
    void send_recording();
    OscCommand command_for(const Recording& recording, const std::string& path);
    void cancel();
    void send_cancel();
    void hear(const OscReply& reply);
    void hear_done(const OscReply& reply);
    void hear_failed(const OscReply& reply);
    void mind_the_link();
    void supply_player();
    void play(const Take& take, int number, double rate_hz);
    Status load(const Take& take, double rate_hz, LoadedTake& loaded);
    bool fill(const Take& take, double rate_hz, LoadedTake& loaded, std::string& problem);
    void tell(Status status) { values_.set(kStatus, static_cast<float>(status)); }

    Values& values_;
    const std::string folder_;
    std::string slot_;  // a newer request of this instance supersedes an older one
    std::thread thread_;
    std::atomic<bool> stops_{false};
    std::atomic<unsigned> sends_{0}, cancels_{0};
    std::atomic<double> rate_hz_{0};

    mutable std::mutex saved_mutex_;  // of these
    Takes takes_;
    std::string prompt_;
    Request saved_request_;  // as request_
    Request restored_;       // what the project was waiting for
    unsigned restores_ = 0;  // how often a project was opened
    std::condition_variable supplied_;  // the player has what was chosen, or there is none to have
    double supplied_rate_hz_ = 0;       // at this rate,
    unsigned supplied_restores_ = 0;    // of this project
    std::mutex ring_mutex_;           // the ring is not made anew while it is read

    // Worker thread only.
    Link link_;
    Request request_;  // set by `follow`
    unsigned requests_ = 0, sends_seen_ = 0, cancels_seen_ = 0;
    uint64_t playing_serial_ = 0;
    double playing_rate_hz_ = 0;
    std::string playing_path_;
    std::chrono::steady_clock::time_point next_load_{};
};

}  // namespace bridge
