#ifndef LUTRA_PACKER_WRITE_PACK_NOTE_H_
#define LUTRA_PACKER_WRITE_PACK_NOTE_H_

#include <string>

#include "lutra/packer/pack.h"

namespace lutra::packer {

// The text under kPackKey: how each of `weights` was packed and what it cost;
// kept ones are left out. Deterministic: no times, no host, no paths.
std::string PackNote(const std::vector<TensorReport>& weights);

// The same with stand-ins for errors that are not known yet, at least as long.
std::string PackNoteSpace(const std::vector<TensorReport>& weights);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_WRITE_PACK_NOTE_H_
