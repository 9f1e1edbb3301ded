// Files as the plugin takes them from a folder that others may write to: only regular ones are read,
// nothing waits for a pipe or a device, and what is written is whole or absent.
#pragma once

#include <cstddef>
#include <string>

namespace bridge {

enum class Whose { anyone, own };

// Reads a regular file of at most `largest_bytes`. `Whose::own` refuses links and files of other
// users. False when there is no such file; throws std::bad_alloc when it does not fit in memory.
bool read_file(const std::string& path, size_t largest_bytes, Whose whose, std::string& bytes);

// Writes a file that only its owner may read, under its name once it is whole.
bool write_whole(const std::string& path, const std::string& bytes);

// Adds to a regular file of the user, made when it is absent. False when that is not possible.
bool append(const std::string& path, const std::string& text);

}  // namespace bridge
