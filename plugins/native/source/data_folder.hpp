// The daemon's data folder: where it is, who runs there, and where recordings go.
#pragma once

#include <string>

#include "wav.hpp"

namespace bridge {

// `DAW_BRIDGE_DATA_DIR`, else the platform's place, as the daemon chooses it.
std::string data_folder();

// What `server.json` says of the daemon that runs now.
struct Server {
    std::string host, token;
    int osc_tcp_port = 0;
};

// False where no daemon runs: no file, somebody else's file, or one whose process is gone.
bool find_server(const std::string& folder, Server& server);

// Writes a recording and gives its path, empty when that failed. The name is made of the samples,
// so the same bars sent twice are one file.
std::string keep_recording(const std::string& folder, const Stereo& audio);

// The words in `prompt.txt` of the data folder, for hosts that cannot set a text of a plugin.
std::string prompt_of_folder(const std::string& folder);

// A line for whoever looks why something failed: `logs/plugin.log`.
void note(const std::string& folder, const std::string& line);

}  // namespace bridge
