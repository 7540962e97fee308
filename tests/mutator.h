#ifndef LUTRA_TESTS_MUTATOR_H_
#define LUTRA_TESTS_MUTATOR_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace lutra {

// Damages files the way transfers, disks and malice do. The same seed damages
// in the same way.
class Mutator {
 public:
  explicit Mutator(uint32_t seed) : rng_(seed) {}
  virtual ~Mutator() = default;

  // Binary: cut off, flipped bits, sizes made huge or negative, parts missing,
  // doubled or zeroed. `head`: how many bytes at the start get most of it.
  virtual std::string Damage(std::string bytes, size_t head = 1024) {
    for (size_t i = 1 + Below(3); i > 0 && !bytes.empty(); --i) {
      DamageOnce(bytes, head);
    }
    return bytes;
  }

  // JSON: values of wrong types, absurd numbers, members missing, renamed or
  // exchanged; one in four is damaged as bytes instead.
  std::string DamageJson(const std::string& text) {
    if (Below(4) == 0) return Damage(text, text.size());
    nlohmann::json root = nlohmann::json::parse(text);
    for (size_t i = 1 + Below(2); i > 0; --i) {
      std::vector<nlohmann::json*> values;
      Collect(root, values);
      DamageValue(*values[Below(values.size())]);
    }
    return root.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  size_t Below(size_t limit) { return rng_() % limit; }

 private:
  void DamageOnce(std::string& bytes, size_t head) {
    const size_t range =
        Below(4) == 0 ? bytes.size() : std::min(head, bytes.size());
    const size_t at = Below(range);
    const size_t count = std::min(1 + Below(64), bytes.size() - at);
    switch (Below(8)) {
      case 0:
        bytes.resize(Below(bytes.size()));
        break;
      case 1:
        bytes[at] ^= static_cast<char>(1u << Below(8));
        break;
      case 2:
        Overwrite(bytes, at / 4 * 4, kWords[Below(std::size(kWords))], 4);
        break;
      case 3:
        Overwrite(bytes, at / 8 * 8, kWords[Below(std::size(kWords))], 8);
        break;
      case 4:
        bytes.erase(at, count);
        break;
      case 5:
        bytes.insert(at, bytes.substr(at, count));
        break;
      case 6:
        std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), count, '\0');
        break;
      default:
        bytes[at] = static_cast<char>(Below(256));
        break;
    }
  }

  static void Overwrite(std::string& bytes, size_t at, uint64_t word,
                        size_t count) {
    if (at + count <= bytes.size()) {
      std::memcpy(bytes.data() + at, &word, count);
    }
  }

  static void Collect(nlohmann::json& value,
                      std::vector<nlohmann::json*>& values) {
    values.push_back(&value);
    if (!value.is_structured()) return;
    // The first and last entries stand for long lists.
    constexpr size_t kMost = 40;
    size_t index = 0;
    for (auto& entry : value) {
      if (index < kMost || index + kMost > value.size()) Collect(entry, values);
      ++index;
    }
  }

  void DamageValue(nlohmann::json& value) {
    switch (Below(10)) {
      case 0:
        value = nullptr;
        break;
      case 1:
        value = "x";
        break;
      case 2:
        value = -1;
        break;
      case 3:
        value = uint64_t{1} << Below(64);
        break;
      case 4:
        value = 1e300;
        break;
      case 5:
        value = nlohmann::json::array({value, value});
        break;
      case 6:
        value = {{"type", "x"}, {"value", value}};
        break;
      case 7:
        value = true;
        break;
      case 8:
        if (value.is_number_integer()) {
          value = value.get<int64_t>() + static_cast<int64_t>(Below(5)) - 2;
        } else if (value.is_object() && !value.empty()) {
          value.erase(std::next(value.begin(),
                                static_cast<ptrdiff_t>(Below(value.size())))
                          .key());
        } else if (value.is_array() && !value.empty()) {
          value.erase(Below(value.size()));
        } else if (value.is_string()) {
          value = Damage(value.get<std::string>());
        }
        break;
      default:
        if (value.is_object() && value.size() > 1) {  // exchange two members
          auto a = std::next(value.begin(),
                             static_cast<ptrdiff_t>(Below(value.size())));
          std::swap(*a, *value.begin());
        } else {
          value = 0;
        }
        break;
    }
  }

  static constexpr uint64_t kWords[] = {~uint64_t{0},
                                        uint64_t{1} << 31,
                                        (uint64_t{1} << 31) - 1,
                                        uint64_t{1} << 63,
                                        (uint64_t{1} << 63) - 1,
                                        0,
                                        uint64_t{1} << 40,
                                        65536};
  std::mt19937 rng_;
};

}  // namespace lutra

#endif  // LUTRA_TESTS_MUTATOR_H_
