#include "takes.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "transport.hpp"

namespace bridge {

int Takes::add(Take take) {
    const int before = newest();
    take.serial = before == 0 ? 1 : takes_[static_cast<size_t>(before - 1)].serial + 1;
    // Free places have the serial 0 and come first.
    const auto is_older = [](const Take& a, const Take& b) { return a.serial < b.serial; };
    const auto oldest = std::min_element(takes_.begin(), takes_.end(), is_older);
    *oldest = std::move(take);
    return static_cast<int>(oldest - takes_.begin()) + 1;
}

int Takes::newest() const {
    int number = 0;
    uint64_t serial = 0;
    for (int i = 0; i < kCount; ++i)
        if (takes_[static_cast<size_t>(i)].serial > serial) {
            serial = takes_[static_cast<size_t>(i)].serial;
            number = i + 1;
        }
    return number;
}

const Take* Takes::find(int number) const {
    if (number == 0) number = newest();
    if (number < 1 || number > kCount) return nullptr;
    const Take& take = takes_[static_cast<size_t>(number - 1)];
    return take.serial != 0 ? &take : nullptr;
}

std::string Takes::text() const {
    std::ostringstream lines;
    lines.imbue(std::locale::classic());  // a host may have set one with commas
    for (int i = 0; i < kCount; ++i) {
        const Take& take = takes_[static_cast<size_t>(i)];
        if (take.serial == 0 || take.path.find('\n') != std::string::npos) continue;
        lines << i + 1 << ' ' << take.serial << ' ' << take.start_frame << ' ';
        lines << std::setprecision(17) << take.rate_hz << ' ' << take.beside << ' ';
        lines << take.id << ' ' << take.path << '\n';
    }
    return lines.str();
}

void Takes::parse(const std::string& text) {
    takes_ = {};
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        words.imbue(std::locale::classic());
        int number = 0;
        Take take;
        words >> number >> take.serial >> take.start_frame;
        words >> take.rate_hz >> take.beside >> take.id;
        words.get();
        std::getline(words, take.path);
        if (words.fail() || number < 1 || number > kCount) continue;
        if (!is_rate(take.rate_hz) || !is_in_song(take.start_frame)) continue;
        takes_[static_cast<size_t>(number - 1)] = take;
    }
}

}  // namespace bridge
