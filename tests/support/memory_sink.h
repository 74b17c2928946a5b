// A Sink in memory, a file a tensor. Every file starts as 0xcd bytes, so that what is not written shows.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/plan.h"
#include "remap/sink.h"

namespace remap::test {

class MemorySink : public Sink {
 public:
  explicit MemorySink(const std::vector<PlannedTensor>& tensors) {
    for (const PlannedTensor& tensor : tensors)
      bytes_.emplace_back(static_cast<size_t>(data_bytes(tensor)), std::byte{0xcd});
  }
  TensorPlace place(size_t index) const override { return {index, 0}; }
  std::byte* memory(size_t file) override { return bytes_[file].data(); }

  const std::vector<std::byte>& bytes(size_t index) const { return bytes_[index]; }
  const std::vector<std::vector<std::byte>>& all() const { return bytes_; }

 private:
  std::vector<std::vector<std::byte>> bytes_;
};

// A Sink of a single file in memory that only takes bytes, as a file on disk does: tensors lie next to each other, in
// the order given, behind a head. Keeps account of what it is told.
class FileSink : public Sink {
 public:
  explicit FileSink(const std::vector<PlannedTensor>& tensors, uint64_t head_bytes = 0) : tensors_(tensors) {
    for (const PlannedTensor& tensor : tensors)
      offsets_.push_back(head_bytes), head_bytes += static_cast<uint64_t>(data_bytes(tensor));
    bytes_.resize(head_bytes, std::byte{0xcd});
  }
  TensorPlace place(size_t index) const override { return {0, offsets_[index]}; }
  void write(size_t, uint64_t offset, std::span<const std::byte> bytes) override {
    const std::lock_guard lock(mutex_);
    if (offset <= fails_at && fails_at < offset + bytes.size())
      throw Error("io-write", {}, "byte " + std::to_string(fails_at) + " cannot be written");
    ++n_writes;
    written_from[offset] = reinterpret_cast<uintptr_t>(bytes.data());
    std::copy(bytes.begin(), bytes.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void read(size_t, uint64_t offset, std::span<std::byte> bytes) override {
    const std::lock_guard lock(mutex_);
    ++n_reads;
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), bytes.size(), bytes.begin());
  }
  bool holds(size_t, uint64_t offset, uint64_t) override { return held.count(offset) > 0; }
  void finished(size_t, uint64_t offset, uint64_t length, const std::byte* bytes) override {
    const std::lock_guard lock(mutex_);
    finished_.emplace_back(offset, offset + length);
    if (bytes != nullptr && !std::equal(bytes, bytes + length, bytes_.begin() + static_cast<std::ptrdiff_t>(offset)))
      wrong_when_finished = true;
  }

  std::vector<std::vector<std::byte>> all() const {
    std::vector<std::vector<std::byte>> all;
    for (size_t t = 0; t < tensors_.size(); ++t) {
      const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(offsets_[t]);
      all.emplace_back(begin, begin + data_bytes(tensors_[t]));
    }
    return all;
  }
  // What was said to be finished, sorted: pairs of begin and end.
  std::vector<std::pair<uint64_t, uint64_t>> finished_ranges() const {
    auto ranges = finished_;
    std::sort(ranges.begin(), ranges.end());
    return ranges;
  }

  void set_bytes(const FileSink& other) { bytes_ = other.bytes_; }

  int n_writes = 0, n_reads = 0;
  std::map<uint64_t, uintptr_t> written_from;     // the address of what was written at an offset
  std::set<uint64_t> held;                        // blocks that begin here are there already
  uint64_t fails_at = static_cast<uint64_t>(-1);  // the byte that cannot be written
  bool wrong_when_finished = false;

 private:
  const std::vector<PlannedTensor>& tensors_;
  std::vector<uint64_t> offsets_;
  std::vector<std::byte> bytes_;
  std::mutex mutex_;
  std::vector<std::pair<uint64_t, uint64_t>> finished_;
};

}  // namespace remap::test
