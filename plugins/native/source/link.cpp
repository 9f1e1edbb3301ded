#include "link.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace bridge {

namespace {

constexpr auto kRetry = std::chrono::milliseconds(500);
constexpr int kPatience_ms = 2000;
constexpr auto kHelloPatience = std::chrono::seconds(5);
constexpr size_t kLargestPacket_bytes = 64 * 1024;
#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;  // macOS: SO_NOSIGPIPE does it
#endif

bool wait_for(int socket, short events, int timeout_ms) {
    pollfd waiting{socket, events, 0};
    return ::poll(&waiting, 1, timeout_ms) > 0;
}

// A daemon that stands still lets its queue run full: connecting would wait for minutes.
bool is_connected(int descriptor, const addrinfo& address) {
    if (::connect(descriptor, address.ai_addr, address.ai_addrlen) == 0) return true;
    int error = 0;
    socklen_t size = sizeof error;
    return errno == EINPROGRESS && wait_for(descriptor, POLLOUT, kPatience_ms) &&
           getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

// -1 when nobody listens there. Only loopback is asked, whatever server.json says.
int connect_to(const std::string& host, int port) {
    if (host != "127.0.0.1" && host != "::1") return -1;
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return -1;
    const int descriptor = ::socket(found->ai_family, SOCK_STREAM, 0);
    if (descriptor >= 0) {
        const int yes = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
#ifdef SO_NOSIGPIPE
        setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        fcntl(descriptor, F_SETFL, O_NONBLOCK);
    }
    const bool is_open = descriptor >= 0 && is_connected(descriptor, *found);
    freeaddrinfo(found);
    if (is_open) return descriptor;
    if (descriptor >= 0) ::close(descriptor);
    return -1;
}

}  // namespace

void Link::step(int timeout_ms, const std::function<void(const OscReply&)>& on_reply) {
    if (socket_ < 0) open();
    if (socket_ < 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(timeout_ms));
    } else if (wait_for(socket_, POLLIN, timeout_ms)) {
        receive(on_reply);
    }
    give_up_silence();
}

void Link::give_up_silence() {
    if (socket_ < 0 || !awaits_hello_ || std::chrono::steady_clock::now() < hello_until_) return;
    close();
    state_ = State::silent;
}

void Link::open() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_try_) return;
    next_try_ = now + kRetry;
    Server server;
    if (!find_server(folder_, server)) {
        state_ = State::absent;
        return;
    }
    socket_ = connect_to(server.host, server.osc_tcp_port);
    if (socket_ < 0) {
        state_ = State::absent;
        return;
    }
    awaits_hello_ = true;
    hello_until_ = now + kHelloPatience;
    OscCommand hello("hello", "hello");
    hello.with("token", server.token).with("client", std::string("native plugin"));
    send_all(hello.with("previews", false).with("progress_hz", 10.0).packet());
}

void Link::close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    awaits_hello_ = false;
    arrived_.clear();
    if (state_ == State::connected) state_ = State::absent;
}

bool Link::send(const OscCommand& command) {
    return state_ == State::connected && send_all(command.packet());
}

bool Link::send_all(const std::string& packet) {
    const auto size = static_cast<uint32_t>(packet.size());
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 0xFF);
    bytes += packet;
    for (size_t done = 0; done < bytes.size();) {
        const ssize_t sent = ::send(socket_, bytes.data() + done, bytes.size() - done, kSendFlags);
        if (sent > 0) {
            done += static_cast<size_t>(sent);
        } else if (errno == EINTR) {
            continue;
        } else if (errno != EAGAIN || !wait_for(socket_, POLLOUT, kPatience_ms)) {
            close();
            return false;
        }
    }
    return true;
}

void Link::receive(const std::function<void(const OscReply&)>& on_reply) {
    char buffer[16384];
    const ssize_t length = ::recv(socket_, buffer, sizeof buffer, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) return close();
    arrived_.append(buffer, static_cast<size_t>(length));
    while (arrived_.size() >= 4) {
        size_t size = 0;
        for (size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(arrived_[i]);
        if (size > kLargestPacket_bytes) return close();  // this is no daemon of ours
        if (arrived_.size() < 4 + size) return;
        OscReply reply;
        const bool is_reply = decode(arrived_.substr(4, size), reply);
        arrived_.erase(0, 4 + size);
        if (!is_reply) continue;
        if (reply.name == "hello") {
            state_ = State::connected;
            awaits_hello_ = false;
            ++connections_;
        }
        if (reply.name == "failed" && reply.text(0) == "hello") {
            state_ = State::refused;
            awaits_hello_ = false;
        }
        on_reply(reply);
        if (socket_ < 0) return;  // the answer to a reply found the connection gone
    }
}

}  // namespace bridge
