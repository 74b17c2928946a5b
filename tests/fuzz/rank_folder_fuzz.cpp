// Folders of torch files of which none means anything alone: parts of tensors by rank, DeepSpeed, Megatron. The input
// gives the pickles and which folder they make; archives, checksums and storages are built around them.
#include "fuzz/fuzz_input.h"
#include "remap/diagnostic.h"
#include "support/dcp_files.h"

using namespace remap;

namespace {

void write_at(const fuzz::Folder& folder, const std::string& name, std::string_view bytes) {
  std::filesystem::create_directories(folder.path(name).parent_path());
  folder.write(name, bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  folder.clear();
  fuzz::Input input(data, size);
  const uint8_t form = input.byte();
  const int n_ranks = 1 + (form >> 4) % 4;
  const auto archive = [&] { return test::torch_zip_of_numbers(std::string(input.long_text())); };
  const auto rank = [](int r) { return std::to_string(r); };
  switch (form % 6) {
    case 0:
      for (int r = 0; r < n_ranks; ++r)
        write_at(folder, "model_world_size_" + rank(n_ranks) + "_rank_" + rank(r) + ".pt", archive());
      break;
    case 1:
      for (int r = 0; r < n_ranks; ++r) write_at(folder, "part-" + rank(r) + ".pt", archive());
      break;
    case 2:
      write_at(folder, "latest", "global_step2");
      write_at(folder, "global_step2/mp_rank_00_model_states.pt", archive());
      for (int r = 0; r < n_ranks; ++r)
        write_at(folder, "global_step2/zero_pp_rank_" + rank(r) + "_mp_rank_00_optim_states.pt", archive());
      break;
    case 3:
      for (int r = 0; r < n_ranks; ++r) {
        write_at(folder, "zero_pp_rank_" + rank(r) + "_mp_rank_00_model_states.pt", archive());
        write_at(folder, "zero_pp_rank_" + rank(r) + "_mp_rank_00_optim_states.pt", archive());
      }
      break;
    case 4:
      write_at(folder, "latest", input.text());
      write_at(folder, "global_step2/zero/w/fp32.pt", archive());
      write_at(folder, "global_step2/mp_rank_00_model_states.pt", archive());
      break;
    default:
      write_at(folder, "latest_checkpointed_iteration.txt", "100");
      for (int r = 0; r < n_ranks; ++r)
        write_at(folder,
                 "iter_0000100/mp_rank_0" + rank(form & 8 ? r : r / 2) + (form & 8 ? "" : "_00" + rank(r % 2)) +
                     "/model_optim_rng.pt",
                 archive());
  }
  try {
    fuzz::read_everything(*open_source(folder.path(), options));
  } catch (const Error&) {
  }
  return 0;
}
