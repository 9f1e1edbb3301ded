// OSC messages as bytes: what goes to the daemon, and its replies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bridge {

// `/dawbridge/<command> id key value ...`, see docs/protocol.md.
class OscCommand {
public:
    OscCommand(const std::string& command, const std::string& id);

    OscCommand& with(const std::string& key, const std::string& text);
    OscCommand& with(const std::string& key, int32_t number);
    OscCommand& with(const std::string& key, double number);
    OscCommand& with(const std::string& key, bool flag);

    std::string packet() const;

private:
    void add_text(const std::string& text);

    std::string address_, types_ = ",", arguments_;
};

// A reply with its values in order. Numbers are doubles; what is no number is 0 and has a text.
struct OscReply {
    std::string name;  // the address without `/dawbridge/reply/`
    std::vector<std::string> texts;
    std::vector<double> numbers;

    std::string text(size_t index) const { return index < texts.size() ? texts[index] : ""; }
    double number(size_t index) const { return index < numbers.size() ? numbers[index] : 0; }
};

// False for a packet that is no reply of the daemon.
bool decode(const std::string& packet, OscReply& reply);

}  // namespace bridge
