// The connection to the daemon: OSC 1.0 over TCP on loopback. For the worker thread only.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "data_folder.hpp"
#include "osc.hpp"

namespace bridge {

class Link {
public:
    enum class State { absent, connected, refused, silent };

    explicit Link(std::string folder) : folder_(std::move(folder)) {}
    ~Link() { close(); }
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // Waits up to `timeout_ms` for replies and hands over each. Looks for a daemon when there is
    // none, at most twice a second, reading server.json anew: a restarted daemon has other ports.
    // One that takes the connection and does not say hello in time is left, and tried again.
    void step(int timeout_ms, const std::function<void(const OscReply&)>& on_reply);

    // False when there is no daemon; nothing is kept to be sent later.
    bool send(const OscCommand& command);

    State state() const { return state_; }

    // Rises with every daemon that said hello.
    unsigned connections() const { return connections_; }

private:
    void open();
    void close();
    void give_up_silence();
    bool send_all(const std::string& bytes);
    void receive(const std::function<void(const OscReply&)>& on_reply);

    std::string folder_;
    int socket_ = -1;
    State state_ = State::absent;
    unsigned connections_ = 0;
    std::string arrived_;
    bool awaits_hello_ = false;
    std::chrono::steady_clock::time_point next_try_{}, hello_until_{};
};

}  // namespace bridge
