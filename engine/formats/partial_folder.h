// The hidden folder beside an output that the output is written in, and what earlier runs left of theirs. Private to
// formats.
//
//   .NAME.partial-abcdefgh/     the folder, locked by whoever writes it through its journal
//     journal                   what the output is made of; then which blocks are whole, with checksums
//     new/                      the output, until it takes its name
//     old/                      the output that is being replaced, where names cannot be exchanged
//
// Removed is only what is provably ours and nobody writes: a folder of that name, that this user owns, with a journal
// for this output that can be locked. A folder never has its final name before it is whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "remap/diagnostic.h"

namespace remap::formats {

// The final place, cut into the folder it is in and its own name.
struct Destination {
  std::string path, parent, name;
};
// Throws Error "output-name" if the path does not name a folder that can be made.
Destination parse_destination(const std::string& given);

// A range of one of the output's files that is whole.
struct WholeBlock {
  uint64_t file = 0, begin = 0, length = 0;
  Sum128 sum;
};

struct PartialOptions {
  std::map<std::string, std::string> made_of;  // name -> digest; all are the same, or nothing is gone on with
  bool resume = false;
  bool makes_parent = false;  // the folder that it is in is made where it is missing, and removed where it stays empty
  std::function<void(const Diagnostic&)> notice;
};

class PartialFolder {
 public:
  // Finds what earlier runs left, says and removes it, or takes it over; else makes a new folder. Throws Error
  // "io-write".
  PartialFolder(const Destination& destination, const PartialOptions& options);
  ~PartialFolder();  // removes what it holds, unless keep() was called or the output has its name
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  std::string folder() const { return path_ + "/new"; }    // where the output is written
  std::string replaced() const { return path_ + "/old"; }  // where an output may wait that is replaced
  // Whether it is what an earlier run left, which is gone on with.
  bool is_taken_over() const { return taken_over_; }
  // Of an earlier run, sorted; what the files hold there may still be anything.
  const std::vector<WholeBlock>& whole() const { return whole_; }

  // From any thread. Runs of less than a second leave no record, unless they are to be resumed.
  bool is_recording() const;
  void record(const WholeBlock& block) noexcept;
  void keep() noexcept;
  void committed() noexcept;  // folder() has its final name; replaced(), or what took folder()'s place, is removed

 private:
  struct Left;
  friend void remove_leftover(const std::string& parent, const std::string& name);
  bool take_over(Left& left);
  void make();
  void flush() noexcept;  // with the mutex held

  const Destination& destination_;
  const PartialOptions options_;
  std::string path_;
  int journal_ = -1;
  bool keep_ = false, taken_over_ = false;
  std::vector<WholeBlock> whole_;
  std::mutex mutex_;
  std::string unwritten_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now(), flushed_ = begun_;
};

Place at(const std::string& path);             // for messages
bool exists(const std::string& path);          // whatever it is; a link is not followed
bool is_real_folder(const std::string& path);  // and not a link to one

// Locks what is open there, for this process alone. 0, or the errno: EWOULDBLOCK if another one still has it after two
// seconds, which a process that was killed may need to be gone.
int lock_soon(int fd);

// Removes the hidden folder `name` in `parent` if a run left it that was killed, whatever its output was to be.
void remove_leftover(const std::string& parent, const std::string& name);

// Removes a folder without folders in it; what cannot be removed stays. Follows no link.
void remove_flat_folder(const std::string& folder) noexcept;

// Puts `folder` at the destination, where nothing may be. Throws Error "output-exists", "io-write".
void rename_to_new(const std::string& folder, const Destination& destination);

// Puts `folder` in the place of the existing one, unless someone has put another there meanwhile; the existing one is
// then at `folder` or at `replaced`.
void rename_over_old(const std::string& folder, const Destination& destination, const std::string& replaced);

// Files, or folders, with all their names: on the disk when this returns. Returns 0 or an errno.
int sync_folder(const std::string& folder);

}  // namespace remap::formats
