// What is under each value of a pickle: the first look at it, on which the listing of tensors and of everything else
// stands. Private to torch_listing.cpp and torch_metadata.cpp.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/torch_tensors.h"

namespace remap::formats {

class TorchStructure {
 public:
  // Looks at every value once. `contents` and `limits` must outlive this.
  TorchStructure(TorchContents& contents, const Limits& limits);

  struct Facts {
    uint32_t tensors = 0;  // it and below it, once a path; saturates
    bool own = false;      // of a record: tensors are among its arguments, so that it is listed itself
    bool others = false;   // anything but tensors and empty containers
  };
  const Facts& facts(PickleRef ref) const { return facts_[ref]; }
  const PickleGraph& graph() const { return graph_; }
  const PickleMeanings& meanings() const { return meanings_; }
  const TorchContents& contents() const { return contents_; }

  // A storage that a container holds stands alone: no tensor views it.
  PickleView view_of(PickleRef ref) const;
  const DecodedTensor& tensor(const PickleView& view);
  bool is_read(const PickleView& view) { return std::holds_alternative<TensorSpec>(tensor(view)); }
  // A part of a tensor of which other files have the rest: a tensor, if only their reader can serve it.
  bool is_part(const PickleView& view) {
    const auto* unread = std::get_if<UnreadableTensor>(&tensor(view));
    return unread != nullptr && unread->part != nullptr;
  }
  // What a function that is not known makes, as opposed to an instance of a class. Classes' names start with a capital.
  bool is_result(const PickleObject& object) const;
  // Where the attributes of a value are kept that is not a record: of a container, a tensor or a parameter.
  std::vector<PickleRef> states_of(PickleRef ref) const;
  // What was seen and is not known, a line a class.
  std::vector<std::string> remarks() const;

 private:
  enum class State : uint8_t { unseen, open, done };
  struct Children {
    std::vector<PickleRef> refs;
    size_t n_own = 0;    // the first ones: their tensors make the value itself one that is not read
    size_t n_quiet = 0;  // the last ones: not part of what the value is taken for, only their tensors count
  };
  struct Frame {
    PickleRef ref;
    Children children;
    size_t next = 0;
  };

  void analyse(PickleRef root);
  void enter(PickleRef ref, std::vector<Frame>& stack);
  void close(const Frame& frame);
  Children children_of(const PickleView& view) const;
  void add_states(PickleRef ref, Children& children) const;
  void remark(PickleRef object, std::string_view text);
  void remark_record(const PickleView& view);

  TorchContents& contents_;
  const PickleGraph& graph_;
  PickleMeanings meanings_;
  TensorDecoder decoder_;
  std::vector<Facts> facts_;
  std::vector<State> seen_;
  std::unordered_map<PickleRef, DecodedTensor> specs_;
  std::map<std::pair<PickleRef, std::string_view>, uint64_t> remarks_;  // by class or function; kNoValue: none
};

}  // namespace remap::formats
