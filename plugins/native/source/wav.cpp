#include "wav.hpp"

#include <cmath>
#include <cstring>

#include "files.hpp"

namespace bridge {

namespace {

constexpr uint16_t kPcm = 1, kFloat = 3, kExtensible = 0xFFFE;
constexpr size_t kLargest_bytes = size_t{1} << 30;

struct Format {
    uint16_t code = 0, channels = 0, bits = 0;
    uint32_t rate_hz = 0;
};

// Files are little-endian, whatever the machine.
uint32_t whole(const uint8_t* bytes, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= uint32_t{bytes[i]} << (8 * i);
    return value;
}

void put(std::string& bytes, uint32_t value, size_t count) {
    for (size_t i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
}

// A sample that is no number would reach the speakers through every plugin behind this one.
float finite(float value) { return std::isfinite(value) ? value : 0.0f; }

float sample_of(const uint8_t* bytes, const Format& format) {
    if (format.code == kFloat && format.bits == 64) {
        const uint64_t raw = whole(bytes, 4) | uint64_t{whole(bytes + 4, 4)} << 32;
        double value;
        std::memcpy(&value, &raw, sizeof value);
        return finite(static_cast<float>(value));
    }
    const uint32_t raw = whole(bytes, format.bits / 8u);
    if (format.code == kFloat) {
        float value;
        std::memcpy(&value, &raw, sizeof value);
        return finite(value);
    }
    // The sign bit is moved to the top, so that one scale serves all widths.
    return static_cast<float>(static_cast<int32_t>(raw << (32 - format.bits)) / 2147483648.0);
}

bool is_readable(const Format& format) {
    const bool width = format.code == kPcm
                           ? format.bits == 16 || format.bits == 24 || format.bits == 32
                           : format.code == kFloat && (format.bits == 32 || format.bits == 64);
    const bool rate = format.rate_hz >= 8000 && format.rate_hz <= 192000;
    return width && rate && format.channels > 0;
}

Format format_of(const uint8_t* chunk, size_t length) {
    Format format;
    format.code = static_cast<uint16_t>(whole(chunk, 2));
    format.channels = static_cast<uint16_t>(whole(chunk + 2, 2));
    format.rate_hz = whole(chunk + 4, 4);
    format.bits = static_cast<uint16_t>(whole(chunk + 14, 2));
    if (format.code == kExtensible && length >= 26)
        format.code = static_cast<uint16_t>(whole(chunk + 24, 2));
    return format;
}

void decode(const uint8_t* data, size_t length, const Format& format, Stereo& audio) {
    const size_t sample_bytes = format.bits / 8u, frame_bytes = sample_bytes * format.channels;
    const size_t frames = length / frame_bytes;
    audio.rate_hz = format.rate_hz;
    audio.left.resize(frames);
    audio.right.resize(frames);
    for (size_t i = 0; i < frames; ++i, data += frame_bytes) {
        audio.left[i] = sample_of(data, format);
        audio.right[i] = sample_of(format.channels > 1 ? data + sample_bytes : data, format);
    }
}

}  // namespace

bool read_wav(const std::string& path, Stereo& audio, std::string& problem) {
    std::string text;
    if (!read_file(path, kLargest_bytes, Whose::anyone, text)) {
        problem = path + " is no file that can be read, or larger than 1 GiB";
        return false;
    }
    const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
    if (text.size() < 12 || std::memcmp(bytes, "RIFF", 4) != 0 ||
        std::memcmp(bytes + 8, "WAVE", 4) != 0) {
        problem = path + " is no WAV file";
        return false;
    }
    Format format;
    for (size_t at = 12; at + 8 <= text.size();) {
        const uint8_t* chunk = bytes + at + 8;
        const size_t told = whole(bytes + at + 4, 4), there = text.size() - at - 8;
        const size_t length = told < there ? told : there;
        if (std::memcmp(bytes + at, "fmt ", 4) == 0 && length >= 16) {
            format = format_of(chunk, length);
        } else if (std::memcmp(bytes + at, "data", 4) == 0 && is_readable(format)) {
            decode(chunk, length, format, audio);
            return true;
        }
        at += 8 + length + (length & 1);
    }
    problem = path + " has no samples in a format that the plugin reads";
    return false;
}

std::string float_wav(const Stereo& audio) {
    constexpr uint32_t kChannels = 2, kFrame_bytes = 8;
    const auto rate_hz = static_cast<uint32_t>(audio.rate_hz + 0.5);
    const auto data_bytes = static_cast<uint32_t>(audio.left.size() * kFrame_bytes);
    std::string bytes = "RIFF";
    bytes.reserve(44 + data_bytes);
    put(bytes, 36 + data_bytes, 4);
    bytes += "WAVEfmt ";
    put(bytes, 16, 4);
    put(bytes, kFloat, 2);
    put(bytes, kChannels, 2);
    put(bytes, rate_hz, 4);
    put(bytes, rate_hz * kFrame_bytes, 4);
    put(bytes, kFrame_bytes, 2);
    put(bytes, 32, 2);
    bytes += "data";
    put(bytes, data_bytes, 4);
    for (size_t i = 0; i < audio.left.size(); ++i)
        for (const float sample : {audio.left[i], audio.right[i]}) {
            uint32_t raw;
            std::memcpy(&raw, &sample, sizeof raw);
            put(bytes, raw, 4);
        }
    return bytes;
}

}  // namespace bridge
