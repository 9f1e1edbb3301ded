// The last takes: what the project saves of them, and which one plays.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace bridge {

struct Take {
    uint64_t serial = 0;      // rises with every take; 0 is none
    std::string id, path;
    int64_t start_frame = 0;  // its first sample in the song, counted at `rate_hz`
    double rate_hz = 0;
    bool beside = false;      // an accompaniment
};

class Takes {
public:
    static constexpr int kCount = 8;

    // Puts a take in the place of the oldest. Gives its number, 1 to 8.
    int add(Take take);

    // Number of the newest, 0 when there is none.
    int newest() const;

    // Take by its number, 0 for the newest; null when there is none.
    const Take* find(int number) const;

    // One line a take; `parse` takes what `text` gives and leaves out what it cannot read.
    std::string text() const;
    void parse(const std::string& text);

private:
    std::array<Take, kCount> takes_;
};

}  // namespace bridge
