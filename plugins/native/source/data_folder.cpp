#include "data_folder.hpp"

#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <sstream>

#include "files.hpp"

namespace bridge {

namespace {

constexpr size_t kLargestFile_bytes = 64 * 1024;
constexpr int kLargestPort = 65535;
constexpr off_t kLargestLog_bytes = 1 << 20;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::string home() {
    const std::string given = variable("HOME");
    if (!given.empty()) return given;
    const passwd* user = getpwuid(getuid());
    return user != nullptr ? user->pw_dir : "";
}

// Only what its owner, the user of this host, wrote is believed.
bool read_own(const std::string& path, std::string& text) {
    return read_file(path, kLargestFile_bytes, Whose::own, text) && !text.empty();
}

// The value of a key in a flat JSON object, texts without their quotes; empty when absent.
std::string json_value(const std::string& json, const std::string& key) {
    const std::string quoted = "\"" + key + "\"";
    size_t at = json.find(quoted);
    if (at == std::string::npos) return "";
    at = json.find_first_not_of(" \t\r\n:", at + quoted.size());
    if (at == std::string::npos) return "";
    std::string value;
    if (json[at] != '"') {
        const size_t end = json.find_first_of(",} \t\r\n", at);
        return json.substr(at, end - at);
    }
    for (++at; at < json.size() && json[at] != '"'; ++at) {
        if (json[at] == '\\' && at + 1 < json.size()) ++at;  // tokens are printable ASCII
        value += json[at];
    }
    return value;
}

// Host of `ws://127.0.0.1:8787/` or `ws://[::1]:8787/`.
std::string host_of(const std::string& url) {
    const size_t begin = url.find("://");
    if (begin == std::string::npos) return "";
    const std::string rest = url.substr(begin + 3);
    if (!rest.empty() && rest[0] == '[') return rest.substr(1, rest.find(']') - 1);
    return rest.substr(0, rest.find_first_of(":/"));
}

// A whole number from 1 to `most`, else 0: process 4294967296 must not become process 0, which is
// this host itself.
int number_of(const std::string& json, const std::string& key, int most) {
    const std::string digits = json_value(json, key);
    char* end = nullptr;
    errno = 0;
    const long long number = std::strtoll(digits.c_str(), &end, 10);
    const bool is_number = !digits.empty() && *end == '\0' && errno == 0;
    return is_number && number >= 1 && number <= most ? static_cast<int>(number) : 0;
}

// FNV-1a, 64 bit: two recordings that differ get two names.
uint64_t digest(const std::string& bytes) {
    uint64_t hash = 14695981039346656037u;
    for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 1099511628211u;
    return hash;
}

}  // namespace

std::string data_folder() {
    const std::string given = variable("DAW_BRIDGE_DATA_DIR");
    if (!given.empty()) return given[0] == '~' ? home() + given.substr(1) : given;
#ifdef __APPLE__
    return home() + "/Library/Application Support/daw-bridge";
#else
    const std::string data = variable("XDG_DATA_HOME");
    return (data.empty() ? home() + "/.local/share" : data) + "/daw-bridge";
#endif
}

bool find_server(const std::string& folder, Server& server) {
    std::string json;
    if (!read_own(folder + "/server.json", json)) return false;
    // A daemon that was killed leaves its file, and who takes its port next must not get the token.
    const int pid = number_of(json, "pid", std::numeric_limits<pid_t>::max());
    if (pid == 0 || kill(static_cast<pid_t>(pid), 0) != 0) return false;
    server.host = host_of(json_value(json, "url"));
    server.token = json_value(json, "token");
    server.osc_tcp_port = number_of(json, "osc_tcp_port", kLargestPort);
    return !server.host.empty() && server.osc_tcp_port > 0;
}

std::string keep_recording(const std::string& folder, const Stereo& audio) {
    const std::string recordings = folder + "/recordings";
    mkdir(recordings.c_str(), 0700);
    const std::string bytes = float_wav(audio);
    char name[32];
    const auto number = static_cast<unsigned long long>(digest(bytes));
    std::snprintf(name, sizeof name, "/%016llx.wav", number);
    const std::string path = recordings + name;
    struct stat status {};
    const bool is_there = stat(path.c_str(), &status) == 0 &&
                          status.st_size == static_cast<off_t>(bytes.size());
    return is_there || write_whole(path, bytes) ? path : "";
}

std::string prompt_of_folder(const std::string& folder) {
    std::string text;
    if (!read_own(folder + "/prompt.txt", text)) return "";
    std::istringstream words(text);
    std::string prompt, word;
    while (words >> word) prompt += (prompt.empty() ? "" : " ") + word;
    return prompt;
}

void note(const std::string& folder, const std::string& line) {
    const std::string path = folder + "/logs/plugin.log";
    struct stat status {};
    if (stat(path.c_str(), &status) == 0 && status.st_size > kLargestLog_bytes)
        rename(path.c_str(), (path + ".1").c_str());
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    char stamp[32] = "";
    if (localtime_r(&now, &local) != nullptr)
        std::strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S ", &local);
    append(path, stamp + line + '\n');
}

}  // namespace bridge
