#include "osc.hpp"

#include <cstring>

namespace bridge {

namespace {

const std::string kReplies = "/dawbridge/reply/";

// Texts end with a zero and fill a multiple of four bytes.
std::string padded(const std::string& text) {
    return text + std::string(4 - text.size() % 4, '\0');
}

std::string big_endian(uint64_t value, int bytes) {
    std::string result;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        result += static_cast<char>(value >> shift & 0xFF);
    return result;
}

class Reader {
public:
    explicit Reader(const std::string& bytes) : bytes_(bytes) {}

    bool text(std::string& value) {
        const size_t end = bytes_.find('\0', at_);
        if (end == std::string::npos) return false;
        value = bytes_.substr(at_, end - at_);
        at_ += (value.size() / 4 + 1) * 4;
        return at_ <= bytes_.size();
    }

    bool whole(int width, uint64_t& value) {
        if (at_ + static_cast<size_t>(width) > bytes_.size()) return false;
        value = 0;
        for (int i = 0; i < width; ++i) value = value << 8 | static_cast<uint8_t>(bytes_[at_++]);
        return true;
    }

private:
    const std::string& bytes_;
    size_t at_ = 0;
};

// Reads one argument of the type as a number or a text; false for a type the daemon never sends.
bool argument(Reader& reader, char type, double& number, std::string& text) {
    uint64_t raw = 0;
    switch (type) {
        case 's': return reader.text(text);
        case 'T': number = 1; return true;
        case 'F': return true;
        case 'i':
            if (!reader.whole(4, raw)) return false;
            number = static_cast<int32_t>(raw);
            return true;
        case 'h':
            if (!reader.whole(8, raw)) return false;
            number = static_cast<double>(static_cast<int64_t>(raw));
            return true;
        case 'f': {
            if (!reader.whole(4, raw)) return false;
            const auto bits = static_cast<uint32_t>(raw);
            float value;
            std::memcpy(&value, &bits, sizeof value);
            number = value;
            return true;
        }
        case 'd':
            if (!reader.whole(8, raw)) return false;
            std::memcpy(&number, &raw, sizeof number);
            return true;
        default: return false;
    }
}

}  // namespace

OscCommand::OscCommand(const std::string& command, const std::string& id)
    : address_("/dawbridge/" + command) {
    add_text(id);
}

void OscCommand::add_text(const std::string& text) {
    types_ += 's';
    arguments_ += padded(text.substr(0, text.find('\0')));
}

OscCommand& OscCommand::with(const std::string& key, const std::string& text) {
    add_text(key);
    add_text(text);
    return *this;
}

OscCommand& OscCommand::with(const std::string& key, int32_t number) {
    add_text(key);
    types_ += 'i';
    arguments_ += big_endian(static_cast<uint32_t>(number), 4);
    return *this;
}

OscCommand& OscCommand::with(const std::string& key, double number) {
    uint64_t raw;
    std::memcpy(&raw, &number, sizeof raw);
    add_text(key);
    types_ += 'd';
    arguments_ += big_endian(raw, 8);
    return *this;
}

OscCommand& OscCommand::with(const std::string& key, bool flag) {
    add_text(key);
    types_ += flag ? 'T' : 'F';
    return *this;
}

std::string OscCommand::packet() const { return padded(address_) + padded(types_) + arguments_; }

bool decode(const std::string& packet, OscReply& reply) {
    Reader reader(packet);
    std::string address, types;
    if (!reader.text(address) || address.compare(0, kReplies.size(), kReplies) != 0) return false;
    if (!reader.text(types) || types.empty() || types[0] != ',') return false;
    reply = OscReply{};
    reply.name = address.substr(kReplies.size());
    for (size_t i = 1; i < types.size(); ++i) {
        double number = 0;
        std::string text;
        if (!argument(reader, types[i], number, text)) return false;
        reply.numbers.push_back(number);
        reply.texts.push_back(text);
    }
    return true;
}

}  // namespace bridge
