// A CLAP host without a screen, told what to do line by line on standard input. It answers each
// line with one line: `ok ...` or `error ...`. What it does between the marks of watch.cpp is what
// an audio thread would do.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "clap/entry.h"
#include "clap/events.h"
#include "clap/ext/params.h"
#include "clap/ext/state.h"
#include "clap/fixedpoint.h"
#include "clap/host.h"
#include "clap/plugin-factory.h"
#include "clap/plugin.h"
#include "clap/process.h"
#include "clap/stream.h"

extern "C" {
__attribute__((weak)) void watch_enter();
__attribute__((weak)) void watch_leave();
__attribute__((weak)) void watch_print(char*, size_t);
}

namespace {

void require(bool holds, const std::string& problem) {
    if (!holds) throw std::runtime_error(problem);
}

const void* host_extension(const clap_host_t*, const char*) { return nullptr; }
void host_ignore(const clap_host_t*) {}
const clap_host_t kHost = {CLAP_VERSION, nullptr, "test host", "daw-bridge", "", "1",
                           host_extension, host_ignore, host_ignore, host_ignore};

// Values to be told with the next block.
struct Events {
    std::vector<clap_event_param_value_t> values;
};
uint32_t events_size(const clap_input_events_t* list) {
    return static_cast<uint32_t>(static_cast<Events*>(list->ctx)->values.size());
}
const clap_event_header_t* events_get(const clap_input_events_t* list, uint32_t index) {
    return &static_cast<Events*>(list->ctx)->values[index].header;
}
bool events_push(const clap_output_events_t*, const clap_event_header_t*) { return true; }

int64_t stream_write(const clap_ostream_t* stream, const void* data, uint64_t size) {
    static_cast<std::string*>(stream->ctx)->append(static_cast<const char*>(data), size);
    return static_cast<int64_t>(size);
}
struct Source {
    std::string bytes;
    size_t at = 0;
};
int64_t stream_read(const clap_istream_t* stream, void* data, uint64_t size) {
    auto* source = static_cast<Source*>(stream->ctx);
    const size_t length = std::min<size_t>(size, source->bytes.size() - source->at);
    std::memcpy(data, source->bytes.data() + source->at, length);
    source->at += length;
    return static_cast<int64_t>(length);
}

struct Song {
    long frame = 0;
    bool rolls = false;
    double bpm = 120;
    int beats = 4, unit = 4;
};

// What a block tells of the music at its first sample.
struct Place {
    double quarters = 0, bar_start = 0, bpm = 120;
    int beats = 4, unit = 4;
};

class Host {
public:
    ~Host() { close(); }

    void open(const std::string& path) {
        library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        const char* problem = dlerror();  // which forgets it with the first call
        require(library_ != nullptr, problem != nullptr ? problem : "cannot load");
        entry_ = static_cast<const clap_plugin_entry_t*>(dlsym(library_, "clap_entry"));
        require(entry_ && entry_->init(path.c_str()), "no CLAP entry");
        const auto* factory = static_cast<const clap_plugin_factory_t*>(
            entry_->get_factory(CLAP_PLUGIN_FACTORY_ID));
        require(factory && factory->get_plugin_count(factory) == 1, "not one plugin");
        const auto* about = factory->get_plugin_descriptor(factory, 0);
        plugin_ = factory->create_plugin(factory, &kHost, about->id);
        require(plugin_ && plugin_->init(plugin_), "the plugin does not start");
        params_ = static_cast<const clap_plugin_params_t*>(
            plugin_->get_extension(plugin_, CLAP_EXT_PARAMS));
        state_ = static_cast<const clap_plugin_state_t*>(
            plugin_->get_extension(plugin_, CLAP_EXT_STATE));
        require(params_ && state_, "no parameters or no state");
    }

    void close() {
        if (plugin_ == nullptr) return;
        deactivate();
        plugin_->destroy(plugin_);
        entry_->deinit();
        dlclose(library_);
        plugin_ = nullptr;
    }

    void activate(double rate_hz, uint32_t block) {
        rate_hz_ = rate_hz;
        require(plugin_->activate(plugin_, rate_hz, 1, block), "not activated");
        require(plugin_->start_processing(plugin_), "does not process");
        active_ = true;
    }

    void deactivate() {
        if (!active_) return;
        plugin_->stop_processing(plugin_);
        plugin_->deactivate(plugin_);
        active_ = false;
    }

    uint32_t id_of(const std::string& name) const {
        for (uint32_t i = 0; i < params_->count(plugin_); ++i) {
            clap_param_info_t info{};
            if (params_->get_info(plugin_, i, &info) && name == info.name) return info.id;
        }
        throw std::runtime_error("no parameter " + name);
    }

    void set(const std::string& name, double value) {
        clap_event_param_value_t event{};
        event.header = {sizeof event, 0, CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_PARAM_VALUE, 0};
        event.param_id = id_of(name);
        event.note_id = event.port_index = event.channel = event.key = -1;
        event.value = value;
        events_.values.push_back(event);
    }

    double get(const std::string& name) const {
        double value = 0;
        require(params_->get_value(plugin_, id_of(name), &value), "no value");
        return value;
    }

    // From now on the transport says this, whatever the song is.
    void lie(const std::string& field, double value) { lies_[field] = value; }

    // From now on blocks that begin at the frames of a file tell the places that stand there.
    void follow(const std::string& path) {
        std::ifstream rows(path);
        long frame = 0;
        for (Place place; rows >> frame >> place.quarters >> place.bar_start >> place.bpm >>
                          place.beats >> place.unit;)
            places_[frame] = place;
        require(rows.eof() && !places_.empty(), "no places in " + path);
    }

    // Plays interleaved stereo floats through the plugin, in blocks, and appends what comes out.
    void play(const std::string& input, const std::string& output, long length, uint32_t block,
              Song song) {
        std::vector<float> in(static_cast<size_t>(2 * length), 0.0f), out(in.size());
        const auto bytes = static_cast<long>(in.size() * sizeof(float));
        if (input != "-") {
            std::ifstream file(input, std::ios::binary);
            file.read(reinterpret_cast<char*>(in.data()), bytes);
            require(file.gcount() == bytes, "input too short");
        }
        std::vector<float> left(block), right(block), left_out(block), right_out(block);
        for (long done = 0; done < length;) {
            const auto count = static_cast<uint32_t>(std::min<long>(block, length - done));
            for (uint32_t i = 0; i < count; ++i) {
                left[i] = in[static_cast<size_t>(2 * (done + i))];
                right[i] = in[static_cast<size_t>(2 * (done + i) + 1)];
            }
            process({left.data(), right.data()}, {left_out.data(), right_out.data()}, count, song);
            for (uint32_t i = 0; i < count; ++i) {
                out[static_cast<size_t>(2 * (done + i))] = left_out[i];
                out[static_cast<size_t>(2 * (done + i) + 1)] = right_out[i];
            }
            done += count;
            if (song.rolls) song.frame += count;
        }
        if (output == "-") return;
        std::ofstream file(output, std::ios::binary | std::ios::app);
        file.write(reinterpret_cast<const char*>(out.data()), bytes);
    }

    void save(const std::string& path) const {
        std::string bytes;
        const clap_ostream_t stream{&bytes, stream_write};
        require(state_->save(plugin_, &stream), "not saved");
        std::ofstream(path, std::ios::binary) << bytes;
    }

    void load(const std::string& path) const {
        std::ostringstream text;
        text << std::ifstream(path, std::ios::binary).rdbuf();
        Source source{text.str()};
        const clap_istream_t stream{&source, stream_read};
        require(state_->load(plugin_, &stream), "not loaded");
    }

private:
    void process(std::array<float*, 2> in, std::array<float*, 2> out, uint32_t count,
                 const Song& song) {
        const clap_event_transport_t transport = transport_of(song);
        clap_audio_buffer_t input{in.data(), nullptr, 2, 0, 0};
        clap_audio_buffer_t output{out.data(), nullptr, 2, 0, 0};
        clap_input_events_t events{&events_, events_size, events_get};
        clap_output_events_t told{nullptr, events_push};
        clap_process_t block{steady_, count, &transport, &input, &output, 1, 1, &events, &told};
        if (watch_enter) watch_enter();
        const auto status = plugin_->process(plugin_, &block);
        if (watch_leave) watch_leave();
        require(status != CLAP_PROCESS_ERROR, "process failed");
        events_.values.clear();
        steady_ += count;
    }

    clap_event_transport_t transport_of(const Song& song) const {
        clap_event_transport_t transport{};
        transport.header = {sizeof transport, 0, CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_TRANSPORT, 0};
        transport.flags = CLAP_TRANSPORT_HAS_TEMPO | CLAP_TRANSPORT_HAS_BEATS_TIMELINE |
                          CLAP_TRANSPORT_HAS_SECONDS_TIMELINE | CLAP_TRANSPORT_HAS_TIME_SIGNATURE;
        if (song.rolls) transport.flags |= CLAP_TRANSPORT_IS_PLAYING;
        const double seconds = static_cast<double>(song.frame) / rate_hz_;
        const Place place = place_of(song, seconds);
        const double bars = std::floor(place.bar_start * place.unit / 4 / place.beats + 1e-12);
        const auto unit = static_cast<double>(CLAP_BEATTIME_FACTOR);
        static_assert(CLAP_BEATTIME_FACTOR == CLAP_SECTIME_FACTOR, "one unit serves both");
        transport.song_pos_seconds = std::llround(seconds * unit);
        transport.song_pos_beats = std::llround(place.quarters * unit);
        transport.bar_start = std::llround(place.bar_start * unit);
        transport.bar_number = static_cast<int32_t>(bars);
        transport.tempo = place.bpm;
        transport.tsig_num = static_cast<uint16_t>(place.beats);
        transport.tsig_denom = static_cast<uint16_t>(place.unit);
        for (const auto& [field, value] : lies_) {
            if (field == "bpm") transport.tempo = value;
            if (field == "beats") transport.tsig_num = static_cast<uint16_t>(value);
            if (field == "unit") transport.tsig_denom = static_cast<uint16_t>(value);
            if (field == "quarters") transport.song_pos_beats = static_cast<int64_t>(value * unit);
            if (field == "seconds") transport.song_pos_seconds = static_cast<int64_t>(value * unit);
        }
        return transport;
    }

    Place place_of(const Song& song, double seconds) const {
        if (const auto told = places_.find(song.frame); told != places_.end()) return told->second;
        const double quarters = seconds * song.bpm / 60, bar = 4.0 * song.beats / song.unit;
        const double bar_start = std::floor(quarters / bar + 1e-12) * bar;
        return {quarters, bar_start, song.bpm, song.beats, song.unit};
    }

    void* library_ = nullptr;
    const clap_plugin_entry_t* entry_ = nullptr;
    const clap_plugin_t* plugin_ = nullptr;
    const clap_plugin_params_t* params_ = nullptr;
    const clap_plugin_state_t* state_ = nullptr;
    double rate_hz_ = 48000;
    bool active_ = false;
    int64_t steady_ = 12345;  // says nothing of the song
    Events events_;
    std::map<std::string, double> lies_;
    std::map<long, Place> places_;
};

// What a plugin must not do, done between the marks: the watch has to see it.
void misbehave(const std::string& how) {
    static std::mutex mutex;
    static void* volatile kept;
    require(watch_enter != nullptr, "nothing watches");
    if (how == "release") kept = std::malloc(16);
    watch_enter();
    if (how == "allocation") kept = std::malloc(16);
    if (how == "release") std::free(kept);
    if (how == "new") kept = new int[4];
    if (how == "lock") std::lock_guard<std::mutex> lock(mutex);
    if (how == "call") usleep(1);
    watch_leave();
}

using Words = std::istringstream;
using Command = std::string (*)(Host&, Words&);

template <typename Value>
Value word(Words& words) {
    Value value{};
    require(static_cast<bool>(words >> value), "a value is missing");
    return value;
}

// Streams do not read `nan` and `inf`.
double number(Words& words) {
    const auto text = word<std::string>(words);
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    require(*end == '\0', "no number: " + text);
    return value;
}

// Names of parameters have spaces, so they come last.
std::string rest(Words& words) {
    std::string text;
    std::getline(words >> std::ws, text);
    return text;
}

std::string play(Host& host, Words& words) {
    const auto input = word<std::string>(words), output = word<std::string>(words);
    const auto length = word<long>(words);
    const auto block = word<uint32_t>(words);
    Song song;
    words >> song.frame >> song.rolls >> song.bpm >> song.beats >> song.unit;
    require(!words.fail(), "play needs nine values");
    host.play(input, output, length, block, song);
    return "";
}

std::string get(Host& host, Words& words) {
    std::ostringstream told;
    told.precision(9);
    told << host.get(rest(words));
    return told.str();
}

std::string set(Host& host, Words& words) {
    const auto value = number(words);
    host.set(rest(words), value);
    return "";
}

std::string lie(Host& host, Words& words) {
    const auto field = word<std::string>(words);
    host.lie(field, number(words));
    return "";
}

std::string activate(Host& host, Words& words) {
    const auto rate_hz = number(words);
    host.activate(rate_hz, word<uint32_t>(words));
    return "";
}

std::string watched(Host&, Words&) {
    require(watch_print != nullptr, "nothing watches");
    char text[200];
    watch_print(text, sizeof text);
    return text;
}

const std::map<std::string, Command> kCommands = {
    {"open", [](Host& host, Words& words) { return host.open(rest(words)), std::string(); }},
    {"activate", activate},
    {"deactivate", [](Host& host, Words&) { return host.deactivate(), std::string(); }},
    {"set", set},
    {"get", get},
    {"lie", lie},
    {"follow", [](Host& host, Words& words) { return host.follow(rest(words)), std::string(); }},
    {"play", play},
    {"save", [](Host& host, Words& words) { return host.save(rest(words)), std::string(); }},
    {"load", [](Host& host, Words& words) { return host.load(rest(words)), std::string(); }},
    {"misbehave", [](Host&, Words& words) { return misbehave(rest(words)), std::string(); }},
    {"watched", watched},
};

std::string answer(Host& host, const std::string& line) {
    Words words(line);
    const auto command = kCommands.find(word<std::string>(words));
    require(command != kCommands.end(), "unknown: " + line);
    return command->second(host, words);
}

}  // namespace

int main() {
    Host host;
    for (std::string line; std::getline(std::cin, line);) {
        try {
            const std::string text = answer(host, line);  // before any `ok` is said
            std::cout << "ok " << text << std::endl;
        } catch (const std::exception& error) {
            std::cout << "error " << error.what() << std::endl;
        }
    }
}
