#include "player.hpp"

#include <cstring>

namespace bridge {

Player::~Player() {
    delete offered_.load();
    delete retired_.load();
    delete current_;
}

void Player::offer(std::unique_ptr<LoadedTake> take) {
    delete offered_.exchange(new Offer{std::move(take)}, std::memory_order_acq_rel);
}

void Player::collect() { delete retired_.exchange(nullptr, std::memory_order_acq_rel); }

void Player::accept_offer() {
    // Without room to hand the old take back the new one waits for the next block.
    if (retired_.load(std::memory_order_acquire) != nullptr) return;
    if (Offer* offer = offered_.exchange(nullptr, std::memory_order_acq_rel)) {
        retired_.store(current_, std::memory_order_release);
        current_ = offer;
    }
}

void Player::process(const Transport& transport, double rate_hz, float mix, bool repeats,
                     const float* const in[2], float* const out[2], uint32_t length_samples) {
    accept_offer();
    for (int channel = 0; channel < 2; ++channel)
        if (out[channel] != in[channel])
            std::memcpy(out[channel], in[channel], length_samples * sizeof(float));
    const float before = mix_ < 0 ? mix : mix_;
    mix_ = mix;
    const LoadedTake* take = current_ != nullptr ? current_->take.get() : nullptr;
    if (take == nullptr || take->rate_hz != rate_hz) return;
    if (!transport.rolling || take->left.empty()) return;

    const auto take_samples = static_cast<int64_t>(take->left.size());
    // A jump of the knob is spread over the block.
    const float step = length_samples > 0 ? (mix - before) / static_cast<float>(length_samples) : 0;
    int64_t at = transport.frame - take->start_frame;
    if (repeats && at >= take_samples) at %= take_samples;
    for (uint32_t i = 0; i < length_samples; ++i, ++at) {
        if (repeats && at == take_samples) at = 0;
        if (at < 0 || at >= take_samples) continue;
        const float wet = step == 0 ? mix : before + step * static_cast<float>(i + 1);
        const float dry = take->beside ? 1.0f : 1.0f - wet;
        out[0][i] = out[0][i] * dry + take->left[static_cast<size_t>(at)] * wet;
        out[1][i] = out[1][i] * dry + take->right[static_cast<size_t>(at)] * wet;
    }
}

}  // namespace bridge
