// Plays one take at its place in the song. The worker hands takes over; the audio thread hands them
// back to be freed. Two slots, each written by one side and emptied by the other: no lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "transport.hpp"

namespace bridge {

// A take in memory, at the host's rate. Immutable once it is offered.
struct LoadedTake {
    std::vector<float> left, right;
    double rate_hz = 0;       // at another one it is silent
    int64_t start_frame = 0;  // where its first sample stands in the song
    bool beside = false;      // an accompaniment sounds with the track, all else in its place
};

class Player {
public:
    ~Player();

    // Worker: plays this take from the next block on; null for none.
    void offer(std::unique_ptr<LoadedTake> take);

    // Worker: frees what the audio thread has done with.
    void collect();

    // Audio thread: adds the take to a block. `out` may be `in`.
    void process(const Transport& transport, double rate_hz, float mix, bool repeats,
                 const float* const in[2], float* const out[2], uint32_t length_samples);

private:
    struct Offer {
        std::unique_ptr<LoadedTake> take;
    };

    void accept_offer();

    std::atomic<Offer*> offered_{nullptr}, retired_{nullptr};
    Offer* current_ = nullptr;  // audio thread only
    float mix_ = -1;            // as the last block ended; negative before the first
};

}  // namespace bridge
