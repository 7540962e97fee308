#ifndef LUTRA_PACKER_IMPORT_STORED_WEIGHT_FORMATS_H_
#define LUTRA_PACKER_IMPORT_STORED_WEIGHT_FORMATS_H_

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "packer/import/raw_tensors.h"
#include "packer/import/stored/part.h"
#include "packer/import/stored/stored_weight.h"
#include "runtime/base/json_object.h"

// The formats in which checkpoints of safetensors hold quantized weights. A
// format is a file of its own: a function that takes the parts of weights out
// of the checkpoint's tensors, checks them, and leaves a StoredWeight for each.
// docs/import.md has the table of them.

namespace lutra::packer {

using StoredWeights = std::map<std::string, StoredWeight, std::less<>>;

struct FormatInput {
  const JsonObject& config;        // of the model
  const JsonObject& quantization;  // the part of it that the format is about
  RawTensors& raw;
  StoredWeights& weights;
  // What is left out, for people.
  std::vector<std::string>& notes;

  // Adds the weight `name`, whose largest part is `part`.
  void Add(const std::string& name, const Part& part,
           StoredWeight weight) const;
  // Names of tensors that end so, without the ending.
  std::vector<std::string> Stems(std::string_view ending) const;
};

// One of them, by the method's name in the configuration.
void ReadCompressedTensors(const FormatInput& in);
void ReadGptq(const FormatInput& in);
void ReadAwq(const FormatInput& in);
void ReadTorchao(const FormatInput& in);
void ReadBitNet(const FormatInput& in);
void ReadBitsAndBytes(const FormatInput& in);
void ReadHqq(const FormatInput& in);
void ReadMlx(const FormatInput& in);
void ReadGemmaMobile(const FormatInput& in);
void ReadMxfp4Experts(const FormatInput& in);
void ReadParetoQ(const FormatInput& in);

// Replaces the tensors of quantized weights in `raw` by what they stand for.
// `config` is that of the model; `notes` get what is left out. Throws Error.
StoredWeights ReadStoredWeights(const std::filesystem::path& folder,
                                const JsonObject& config, RawTensors& raw,
                                std::vector<std::string>& notes);

// The name of the file of an old GPTQ checkpoint, which its own configuration
// says; empty for others.
std::string SingleFileName(const std::filesystem::path& folder);

}  // namespace lutra::packer

#endif  // LUTRA_PACKER_IMPORT_STORED_WEIGHT_FORMATS_H_
