// Each cause that lutra.h names, provoked.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/model.h"
#include "tests/runtime/raw_file.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kStatusContext = 8;

// A model with a session, and files to load.
struct World {
  World() {
    TinyLanguage{.context = kStatusContext, .packed = true}.Build().Write(good);
    Open(good);
  }
  explicit World(const std::filesystem::path& path) { Open(path); }
  ~World() {
    lutra_session_free(session);
    lutra_model_free(model);
  }

  void Open(const std::filesystem::path& path) {
    EXPECT_EQ(lutra_model_load(path.c_str(), &model), LUTRA_OK);
    EXPECT_EQ(lutra_session_create(model, nullptr, &session), LUTRA_OK);
  }

  lutra_status Load(const std::filesystem::path& path) {
    lutra_model* loaded = nullptr;
    const lutra_status status = lutra_model_load(path.c_str(), &loaded);
    EXPECT_EQ(loaded == nullptr, status != LUTRA_OK);
    lutra_model_free(loaded);
    return status;
  }

  // Loads the good model with a change of its bytes.
  lutra_status LoadBytes(const std::function<void(std::string&)>& change) {
    std::string bytes = ReadBytes(good);
    const std::string before = bytes;
    change(bytes);
    EXPECT_NE(bytes, before);
    WriteBytes(dir / "changed", bytes);
    return Load(dir / "changed");
  }

  // The same, of its header.
  lutra_status LoadHeader(std::string_view from, std::string_view to) {
    return LoadBytes([&](std::string& bytes) {
      bytes = RawFile::Parse(bytes).Replace(from, to).Bytes();
    });
  }

  lutra_status Feed(const std::vector<int32_t>& ids) {
    return lutra_session_feed(session, ids.data(), ids.size(), nullptr);
  }

  // Saves the session's sequence, changes a byte and restores it.
  lutra_status Restore(const lutra_session* by, size_t change) {
    lutra_sequence* sequence = nullptr;
    EXPECT_EQ(lutra_session_fork(session, &sequence), LUTRA_OK);
    size_t size = 0;
    std::vector<unsigned char> bytes(1 << 16);
    EXPECT_EQ(lutra_sequence_save(sequence, bytes.data(), bytes.size(), &size),
              LUTRA_OK);
    EXPECT_LT(size, bytes.size());
    lutra_sequence_free(sequence);
    if (change < size) bytes[change] ^= 1;
    sequence = nullptr;
    const lutra_status status =
        lutra_sequence_restore(by, bytes.data(), size, &sequence);
    lutra_sequence_free(sequence);
    return status;
  }

  TempDir dir;
  const std::filesystem::path good = dir / "good";
  lutra_model* model = nullptr;
  lutra_session* session = nullptr;
};

// Permissions are those of another user, if the process may choose.
class AsNobody {
 public:
  AsNobody() { Become(65534); }
  ~AsNobody() { Become(0); }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  void Become(uid_t user) const {
    if (was_ != 0) return;
    EXPECT_EQ(::seteuid(user), 0);
  }

  const uid_t was_ = ::geteuid();
};

constexpr size_t kNoChange = SIZE_MAX;

struct Cause {
  const char* name;
  lutra_status status;
  const char* sentence;  // a part of it
  std::function<lutra_status(World&)> provoke;
};

void PrintTo(const Cause& cause, std::ostream* out) { *out << cause.name; }

lutra_status CreateSession(
    const World& world,
    const std::function<void(lutra_session_options&)>& set) {
  lutra_session_options options;
  lutra_session_options_init(&options);
  set(options);
  lutra_session* session = nullptr;
  const lutra_status status =
      lutra_session_create(world.model, &options, &session);
  lutra_session_free(session);
  return status;
}

lutra_status Sample(const std::vector<float>& logits) {
  lutra_sampler* sampler = nullptr;
  EXPECT_EQ(lutra_sampler_create(nullptr, 3, &sampler), LUTRA_OK);
  int32_t id = 0;
  const lutra_status status =
      lutra_sampler_sample(sampler, logits.data(), logits.size(), &id);
  lutra_sampler_free(sampler);
  return status;
}

const Cause kCauses[] = {
    {"no_file", LUTRA_NOT_FOUND, "cannot open: No such file",
     [](World& w) { return w.Load(w.dir / "none"); }},
    {"no_folder", LUTRA_NOT_FOUND,
     "cannot open: ", [](World& w) { return w.Load(w.good / "below_a_file"); }},
    {"no_tokenizer", LUTRA_NOT_FOUND, "has no tokenizer",
     [](World& w) {
       TinyLanguage{.tokenizer = false}.Build().Write(w.dir / "mute");
       lutra_model* model = nullptr;
       EXPECT_EQ(lutra_model_load((w.dir / "mute").c_str(), &model), LUTRA_OK);
       size_t count = 0;
       const lutra_status status =
           lutra_model_encode(model, "a", 1, 0, nullptr, 0, &count);
       lutra_model_free(model);
       return status;
     }},
    {"locked_file", LUTRA_NO_PERMISSION, "cannot open: Permission denied",
     [](World& w) {
       std::filesystem::permissions(w.good, std::filesystem::perms::none);
       const AsNobody nobody;  // root may read everything
       return w.Load(w.good);
     }},
    {"endless_link", LUTRA_IO, "cannot open: Too many levels",
     [](World& w) {
       std::filesystem::create_symlink("link", w.dir / "link");
       return w.Load(w.dir / "link");
     }},
    {"folder", LUTRA_INVALID_ARGUMENT, "is a folder",
     [](World& w) { return w.Load(w.dir.path()); }},
    {"empty_file", LUTRA_DAMAGED, "is too short",
     [](World& w) {
       return w.LoadBytes([](std::string& bytes) { bytes.clear(); });
     }},
    {"truncated_file", LUTRA_DAMAGED, "truncated",
     [](World& w) {
       return w.LoadBytes([](std::string& bytes) { bytes.pop_back(); });
     }},
    {"no_json", LUTRA_DAMAGED, "is not valid JSON",
     [](World& w) {
       return w.LoadBytes([](std::string& bytes) { bytes[8] = '!'; });
     }},
    {"no_graph", LUTRA_DAMAGED, "not a lutra model",
     [](World& w) { return w.LoadHeader("lutra.graph", "other.graph"); }},
    {"undefined_value", LUTRA_DAMAGED, "is not defined",
     [](World& w) {
       return w.LoadHeader(R"(outputs\":[\"logits\"])",
                           R"(outputs\":[\"xogits\"])");
     }},
    {"wrong_shape", LUTRA_DAMAGED, "do not fit 8 heads",
     [](World& w) { return w.LoadHeader(R"(\"heads\":4)", R"(\"heads\":8)"); }},
    {"model_version", LUTRA_UNSUPPORTED, "version '9' is not supported",
     [](World& w) {
       return w.LoadHeader(R"("lutra.version":"1")", R"("lutra.version":"9")");
     }},
    {"operator", LUTRA_UNSUPPORTED, "unknown operator 'xxpe'",
     [](World& w) {
       TinyLanguage{}
           .Build()
           .Metadata(
               kGraphKey,
               R"({"inputs":[{"name":"x",)"
               R"("type":"float32","shape":[4]}],"nodes":[{"op":"xxpe","inputs":["x"],)"
               R"("output":"y"}],"outputs":["y"]})")
           .Write(w.dir / "newer");
       return w.Load(w.dir / "newer");
     }},
    {"dtype", LUTRA_UNSUPPORTED, "unknown dtype 'F4'",
     [](World& w) {
       const std::byte values[4] = {};
       TinyLanguage{.packed = true}
           .Build()
           .Tensor("more", DType::kInt32, {1}, values)
           .Write(w.good);
       return w.LoadHeader(R"("I32")", R"("F4")");
     }},
    {"blob_version", LUTRA_UNSUPPORTED, "unknown LUT matrix version",
     [](World& w) {
       return w.LoadBytes(
           [](std::string& bytes) { bytes[bytes.find("LUTRAMAT") + 8] = 9; });
     }},
    {"float16_cache", LUTRA_UNSUPPORTED, "values beyond 65504",
     [](World& w) {
       ModelBuilder builder = TinyLanguage{.context = kStatusContext}.Build();
       builder.Floats("v", {16, 32}, std::vector<float>(16 * 32, 1e6f));
       builder.Write(w.dir / "large");
       World large(w.dir / "large");
       return large.Feed({3});
     }},
    {"context", LUTRA_CONTEXT_FULL, "the context of 8 tokens is too short",
     [](World& w) {
       return w.Feed(std::vector<int32_t>(kStatusContext + 1, 3));
     }},
    {"rows", LUTRA_CONTEXT_FULL, "run past the context of 8",
     [](World& w) {
       const std::vector<int32_t> ids(kStatusContext + 1, 3);
       std::vector<float> logits(ids.size() * TinyLanguage::kVocabulary);
       const void* const inputs[] = {ids.data()};
       float* const outputs[] = {logits.data()};
       return lutra_session_run(w.session, ids.size(), inputs, 1, outputs, 1);
     }},
    {"restored_context", LUTRA_CONTEXT_FULL, "more than the context of 2",
     [](World& w) {
       EXPECT_EQ(w.Feed({3, 4, 5}), LUTRA_OK);
       lutra_session_options options;
       lutra_session_options_init(&options);
       options.context = 2;
       lutra_session* small = nullptr;
       EXPECT_EQ(lutra_session_create(w.model, &options, &small), LUTRA_OK);
       const lutra_status status = w.Restore(small, kNoChange);
       lutra_session_free(small);
       return status;
     }},
    {"saved_bytes", LUTRA_DAMAGED, "its checksum does not match",
     [](World& w) {
       EXPECT_EQ(w.Feed({3}), LUTRA_OK);
       return w.Restore(w.session, 100);
     }},
    {"saved_version", LUTRA_UNSUPPORTED, "has version 3",
     [](World& w) { return w.Restore(w.session, 8); }},
    {"saved_of_another", LUTRA_INVALID_ARGUMENT, "is of another model",
     [](World& w) { return w.Restore(w.session, 16); }},
    {"ids", LUTRA_INVALID_ARGUMENT, "is outside 0..36",
     [](World& w) { return w.Feed({99}); }},
    {"no_tokens", LUTRA_INVALID_ARGUMENT, "no tokens were given",
     [](World& w) {
       const int32_t id = 3;
       return lutra_session_feed(w.session, &id, 0, nullptr);
     }},
    {"decoded_id", LUTRA_INVALID_ARGUMENT, "is outside 0..",
     [](World& w) {
       const int32_t id = -1;
       size_t bytes = 0;
       return lutra_model_decode(w.model, &id, 1, nullptr, 0, &bytes);
     }},
    {"threads", LUTRA_INVALID_ARGUMENT, "more than the limit",
     [](World& w) {
       return CreateSession(
           w, [](lutra_session_options& options) { options.threads = 5000; });
     }},
    {"nan", LUTRA_INVALID_ARGUMENT, "is NaN",
     [](World&) {
       return Sample({0, std::numeric_limits<float>::quiet_NaN(), 0});
     }},
    {"memory", LUTRA_OUT_OF_MEMORY, "overflow",
     [](World& w) { return lutra_session_prepare(w.session, SIZE_MAX); }},
    {"memory_of_a_context", LUTRA_OUT_OF_MEMORY, "with a context of",
     [](World& w) {
       return CreateSession(w, [](lutra_session_options& options) {
         options.context = SIZE_MAX / 2;
       });
     }},
    {"cancelled", LUTRA_CANCELLED, "was cancelled",
     [](World& w) {
       lutra_session_cancel(w.session);
       return w.Feed({3});
     }},
};

class CApiStatusTest : public ::testing::TestWithParam<Cause> {};

TEST_P(CApiStatusTest, NamesTheCause) {
  World world;
  EXPECT_EQ(GetParam().provoke(world), GetParam().status);
  const std::string sentence = lutra_last_error();
  EXPECT_THAT(sentence, HasSubstr(GetParam().sentence));
  EXPECT_THAT(sentence, Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(Causes, CApiStatusTest, ::testing::ValuesIn(kCauses),
                         [](const auto& cause) {
                           return std::string(cause.param.name);
                         });

}  // namespace
}  // namespace lutra
