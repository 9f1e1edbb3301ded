#include "resample.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace bridge {

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int kZeroCrossings = 32;  // on either side
constexpr double kBeta = 10.0;      // Kaiser window: about 100 dB of stop band
constexpr double kPassband = 0.95;  // of the lower Nyquist frequency; the rest is the slope

// Modified Bessel function of order 0: sum of ((x/2)^k / k!)^2.
double bessel(double x) {
    double sum = 1, term = 1;
    for (int k = 1; k < 40; ++k) {
        term *= x / 2 / k;
        sum += term * term;
    }
    return sum;
}

// The kernel for one phase between two input samples, scaled to pass a constant unchanged.
std::vector<double> kernel(double phase, double cutoff, int reach) {
    std::vector<double> taps;
    double sum = 0;
    for (int j = -reach + 1; j <= reach; ++j) {
        const double x = j - phase, place = x / reach;
        const double angle = kPi * cutoff * x;
        const double sinc = x == 0 ? 1 : std::sin(angle) / angle;
        const double window = bessel(kBeta * std::sqrt(std::max(0.0, 1 - place * place)));
        taps.push_back(sinc * window);
        sum += taps.back();
    }
    for (double& tap : taps) tap /= sum;
    return taps;
}

}  // namespace

std::vector<float> resampled(const std::vector<float>& samples, double from_hz, double to_hz) {
    const auto from = std::llround(from_hz), to = std::llround(to_hz);
    if (from == to || from <= 0 || to <= 0 || samples.empty()) return samples;
    const auto shared = std::gcd(from, to);
    const int64_t up = to / shared, down = from / shared;
    const double cutoff = kPassband * std::min(1.0, to_hz / from_hz);
    const int reach = static_cast<int>(std::ceil(kZeroCrossings / cutoff));

    const auto length = static_cast<int64_t>(samples.size());
    std::vector<float> result(static_cast<size_t>((length * up + down - 1) / down));
    std::vector<std::vector<double>> kernels(static_cast<size_t>(up));  // made as they are met
    for (size_t i = 0; i < result.size(); ++i) {
        const int64_t place = static_cast<int64_t>(i) * down;
        const int64_t before = place / up, phase = place % up;
        auto& taps = kernels[static_cast<size_t>(phase)];
        if (taps.empty()) taps = kernel(static_cast<double>(phase) / up, cutoff, reach);
        double sum = 0;
        for (int j = 0; j < 2 * reach; ++j) {
            const int64_t at = before + j - reach + 1;
            if (at < 0 || at >= length) continue;
            sum += taps[static_cast<size_t>(j)] * samples[static_cast<size_t>(at)];
        }
        result[i] = static_cast<float>(sum);
    }
    return result;
}

}  // namespace bridge
