#ifndef LUTRA_RUNTIME_LOAD_OPTIONS_H_
#define LUTRA_RUNTIME_LOAD_OPTIONS_H_

#include <filesystem>

namespace lutra {

// Where the bytes of a model lie while it is used.
enum class Storage {
  // Where they are: a file is mapped, memory is borrowed. Pages of a file are
  // read when they are first used, shared with other processes, and given up
  // when memory is short; the file must keep its bytes (see Model). What does
  // not start at a multiple of 64 bytes, as blobs must, is copied all the same.
  kInPlace,
  // In memory of the model's own, read before Load returns. Whatever becomes of
  // the file, the model keeps its bytes.
  kCopy,
  // The same, in pages of 2 MiB if the system has them (Linux: madvise): fewer
  // misses of the TLB for models much larger than a cache.
  kHugePages,
};

struct LoadOptions {
  Storage storage = Storage::kInPlace;
  // Reads all packed weights and compares their checksums, which is otherwise
  // left to `lutra verify`. Damage is an Error.
  bool verify_checksums = false;
  // A folder as PEFT writes them (https://github.com/huggingface/peft), with
  // adapter_config.json and adapter_model.safetensors: its low-rank adapters
  // are put beside the linear layers, packed or not, whose names it has (see
  // lutra/runtime/adapter.h). The tensors come into memory as those of the
  // model do. Mapped models of one file share its pages, whatever their
  // adapters. Empty: none.
  std::filesystem::path adapter = {};
};

}  // namespace lutra

#endif  // LUTRA_RUNTIME_LOAD_OPTIONS_H_
