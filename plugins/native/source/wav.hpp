// WAV files: takes are read (16, 24 and 32 bit PCM, 32 and 64 bit float), recordings are written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bridge {

struct Stereo {
    double rate_hz = 0;
    std::vector<float> left, right;  // a mono file fills both
};

// Reads the first two channels. False with `problem` filled when the file cannot be read.
bool read_wav(const std::string& path, Stereo& audio, std::string& problem);

// The bytes of a stereo file of 32-bit floats.
std::string float_wav(const Stereo& audio);

}  // namespace bridge
