#include "files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace bridge {

namespace {

// A descriptor that is closed on every way out, exceptions included.
class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() { close(); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    operator int() const { return number_; }
    bool close() {
        const int number = number_;
        number_ = -1;
        return number < 0 || ::close(number) == 0;
    }

private:
    int number_;
};

bool is_of_kind(int descriptor, Whose whose, struct stat& status) {
    return descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
           (whose == Whose::anyone || status.st_uid == geteuid());
}

bool write_all(int descriptor, const std::string& bytes) {
    for (size_t done = 0; done < bytes.size();) {
        const ssize_t written = write(descriptor, bytes.data() + done, bytes.size() - done);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        done += static_cast<size_t>(written);
    }
    return true;
}

}  // namespace

bool read_file(const std::string& path, size_t largest_bytes, Whose whose, std::string& bytes) {
    // Without O_NONBLOCK opening a pipe waits for somebody to write into it.
    const int links = whose == Whose::own ? O_NOFOLLOW : 0;
    const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | links));
    struct stat status {};
    if (!is_of_kind(file, whose, status)) return false;
    if (status.st_size < 0 || static_cast<uint64_t>(status.st_size) > largest_bytes) return false;
    bytes.assign(static_cast<size_t>(status.st_size), '\0');
    size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t length = read(file, &bytes[done], bytes.size() - done);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0) return false;
        if (length == 0) break;  // it became shorter
        done += static_cast<size_t>(length);
    }
    bytes.resize(done);
    return true;
}

bool write_whole(const std::string& path, const std::string& bytes) {
    std::string temporary = path + ".XXXXXX";
    Descriptor file(mkstemp(&temporary[0]));  // owner-only, under a name that was free
    if (file < 0) return false;
    fcntl(file, F_SETFD, FD_CLOEXEC);
    const bool is_written = write_all(file, bytes);
    const bool is_whole = file.close() && is_written;
    if (is_whole && rename(temporary.c_str(), path.c_str()) == 0) return true;
    unlink(temporary.c_str());
    return false;
}

bool append(const std::string& path, const std::string& text) {
    constexpr int kHow = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
    const Descriptor file(open(path.c_str(), kHow, 0600));
    struct stat status {};
    return is_of_kind(file, Whose::own, status) && write_all(file, text);
}

}  // namespace bridge
