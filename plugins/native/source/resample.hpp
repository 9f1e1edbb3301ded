// A take at another rate than the host's is brought to it on the worker thread.
#pragma once

#include <vector>

namespace bridge {

// Windowed-sinc conversion; sample 0 stays at time 0. Rates in Hz, rounded to whole numbers.
std::vector<float> resampled(const std::vector<float>& samples, double from_hz, double to_hz);

}  // namespace bridge
