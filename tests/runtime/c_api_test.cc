#include <gmock/gmock.h>
#include <gtest/gtest.h>
#ifdef LUTRA_HAVE_PTHREADPOOL
#include <pthreadpool.h>
#endif

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lutra.h"
#include "lutra/runtime/session.h"
#include "tests/kernels/random_matrix.h"
#include "tests/runtime/c_api_use.h"
#include "tests/runtime/model_builder.h"
#include "tests/temp_dir.h"

// Usable in #if.
#if LUTRA_VERSION_NUMBER < 1000 || LUTRA_VERSION_MAJOR > 0
#error "the version is at least 0.1.0"
#endif

namespace lutra {
namespace {

using ::testing::HasSubstr;

constexpr size_t kInputs = 40;
constexpr size_t kOutputs = 24;
// Enough tokens for several threads.
constexpr size_t kMost = 500;

class CApiTest : public ::testing::Test {
 protected:
  CApiTest() {
    std::mt19937 rng(1);
    const auto packed = kernels::MakeRandomMatrix(
        {.n = kOutputs, .k = kInputs, .bits = 4, .group_size = 16},
        kernels::TableKind::kSmall, rng);
    ModelBuilder builder;
    builder.Input("x", {kInputs})
        .Add(OpType::kLinear, {"x"}, "y", "w", "b")
        .Output("y")
        .Packed("w", {packed.blob.get(), packed.blob_bytes})
        .Floats("b", {kOutputs}, RandomFloats(kOutputs, 1));
    builder.Write(path_);
    EXPECT_EQ(lutra_model_load(path_.c_str(), &model_), LUTRA_OK)
        << lutra_last_error();
  }
  ~CApiTest() override { lutra_model_free(model_); }

  // The same by the C++ API.
  std::vector<float> Expected(size_t tokens,
                              kernels::ActivationType activations) {
    Session session(Model::Load(path_),
                    {.activations = activations, .threads = 1});
    std::vector<float> y(tokens * kOutputs);
    const void* const inputs[] = {x_.data()};
    float* const outputs[] = {y.data()};
    session.Run(tokens, inputs, outputs);
    return y;
  }

  lutra_status Run(lutra_session* session, size_t tokens) {
    const void* const inputs[] = {x_.data()};
    float* const outputs[] = {y_.data()};
    return lutra_session_run(session, tokens, inputs, 1, outputs, 1);
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
  lutra_model* model_ = nullptr;
  const std::vector<float> x_ = RandomFloats(kMost * kInputs, 2);
  std::vector<float> y_ = std::vector<float>(10 * kOutputs);
};

TEST_F(CApiTest, WorksFromC) {
  for (const size_t tokens : std::vector<size_t>{1, 7}) {
    std::vector<float> y(tokens * kOutputs);
    char description[100] = "";
    ASSERT_EQ(UseLutraFromC(path_.c_str(), 2, tokens, x_.data(), y.data(),
                            description, sizeof(description)),
              0)
        << lutra_last_error();
    EXPECT_STREQ(description, "x 0 1 40 -> y 24");
    EXPECT_EQ(y, Expected(tokens, kernels::ActivationType::kInt8Symmetric));
  }
  EXPECT_EQ(UseLutraFromC((dir_ / "none").c_str(), 1, 1, nullptr, nullptr,
                          nullptr, 0),
            1);
  EXPECT_THAT(lutra_last_error(), HasSubstr("none: cannot open"));
}

TEST_F(CApiTest, Activations) {
  const std::pair<lutra_activations, kernels::ActivationType> kinds[] = {
      {LUTRA_ACTIVATIONS_INT8_ASYMMETRIC,
       kernels::ActivationType::kInt8Asymmetric},
      {LUTRA_ACTIVATIONS_INT8_SYMMETRIC,
       kernels::ActivationType::kInt8Symmetric},
      {LUTRA_ACTIVATIONS_FLOAT32, kernels::ActivationType::kFloat32},
      {LUTRA_ACTIVATIONS_INT8_PER_GROUP,
       kernels::ActivationType::kInt8PerGroup},
      {LUTRA_ACTIVATIONS_BFLOAT16, kernels::ActivationType::kBFloat16},
      // This one says nothing.
      {LUTRA_ACTIVATIONS_MODEL, kernels::ActivationType::kInt8PerGroup}};
  for (const auto& [kind, expected] : kinds) {
    lutra_session_options options;
    lutra_session_options_init(&options);
    options.threads = 1;
    options.activations = kind;
    lutra_session* session = nullptr;
    ASSERT_EQ(lutra_session_create(model_, &options, &session), LUTRA_OK);
    EXPECT_EQ(Run(session, 10), LUTRA_OK);
    EXPECT_EQ(y_, Expected(10, expected)) << kind;
    lutra_session_free(session);
  }
}

#ifdef LUTRA_HAVE_PTHREADPOOL
TEST_F(CApiTest, TheAppsPool) {
  const std::unique_ptr<pthreadpool, decltype(&pthreadpool_destroy)> pool(
      pthreadpool_create(2), &pthreadpool_destroy);
  lutra_session_options options;
  lutra_session_options_init(&options);
  options.thread_pool = pool.get();
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_session_create(model_, &options, &session), LUTRA_OK);
  EXPECT_EQ(Run(session, 10), LUTRA_OK);
  EXPECT_EQ(y_, Expected(10, kernels::ActivationType::kInt8PerGroup));
  lutra_session_free(session);
}
#endif

TEST_F(CApiTest, TheDefaults) {
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_session_create(model_, nullptr, &session), LUTRA_OK);
  EXPECT_EQ(Run(session, 10), LUTRA_OK);
  EXPECT_EQ(y_, Expected(10, kernels::ActivationType::kInt8PerGroup));
  lutra_session_free(session);
}

// An app's threads: here a new one for each task, which is allowed.
struct AppThreads {
  size_t runs = 0;
  size_t tasks = 0;

  static void Run(void* context, size_t tasks, void (*task)(void*, size_t),
                  void* argument) {
    auto* self = static_cast<AppThreads*>(context);
    ++self->runs;
    self->tasks += tasks;
    std::vector<std::thread> threads;
    for (size_t i = tasks; i > 0; --i)
      threads.emplace_back(task, argument, i - 1);
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(CApiTest, TheAppsExecutor) {
  AppThreads app;
  lutra_executor executor;
  lutra_executor_init(&executor);
  executor.context = &app;
  executor.threads = 3;
  executor.run = &AppThreads::Run;
  lutra_session_options options;
  lutra_session_options_init(&options);
  options.executor = &executor;
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_session_create(model_, &options, &session), LUTRA_OK);
  executor = {};  // was copied
  y_.resize(kMost * kOutputs);
  EXPECT_EQ(Run(session, kMost), LUTRA_OK);
  EXPECT_EQ(y_, Expected(kMost, kernels::ActivationType::kInt8PerGroup));
  EXPECT_GT(app.runs, 0u);
  EXPECT_GT(app.tasks, app.runs);
  lutra_session_free(session);
}

TEST_F(CApiTest, ExecutorsThatCannotRun) {
  lutra_executor executor;
  lutra_executor_init(&executor);
  lutra_session_options options;
  lutra_session_options_init(&options);
  options.executor = &executor;
  lutra_session* session = nullptr;
  const auto refused = [&](const char* cause) {
    EXPECT_EQ(lutra_session_create(model_, &options, &session),
              LUTRA_INVALID_ARGUMENT);
    EXPECT_EQ(session, nullptr);
    EXPECT_THAT(lutra_last_error(), HasSubstr(cause));
  };
  executor.threads = 2;
  refused("'run'");
  executor.run = &AppThreads::Run;
  executor.threads = 0;
  refused("at least one thread");
  executor.threads = 1;
  executor.struct_size = 8;
  refused("lutra_executor_init");
  lutra_executor_init(&executor);
  int nothing = 0;
  options.thread_pool = reinterpret_cast<pthreadpool*>(&nothing);
  refused("not both");
}

TEST_F(CApiTest, Queries) {
  EXPECT_STREQ(lutra_version(), LUTRA_VERSION);
  EXPECT_EQ(lutra_model_input_count(model_), 1u);
  EXPECT_EQ(lutra_model_output_count(model_), 1u);
  lutra_value_info info;
  std::memset(&info, 0xff, sizeof(info));
  ASSERT_EQ(lutra_model_output(model_, 0, &info), LUTRA_OK);
  EXPECT_STREQ(info.name, "y");
  EXPECT_EQ(info.type, LUTRA_FLOAT32);
  EXPECT_EQ(info.rank, 1u);
  EXPECT_EQ(info.shape[0], kOutputs);
  EXPECT_EQ(info.shape[1], 0u);
  EXPECT_EQ(info.elements, kOutputs);
  EXPECT_EQ(lutra_model_output(model_, 1, &info), LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("out of range"));
}

TEST_F(CApiTest, NullPointers) {
  lutra_model* model = model_;
  lutra_session* session = nullptr;
  lutra_value_info info;
  EXPECT_EQ(lutra_model_load(nullptr, &model), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(model, nullptr);
  EXPECT_THAT(lutra_last_error(), HasSubstr("path is NULL"));
  EXPECT_EQ(lutra_model_load("x", nullptr), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_model_input_count(nullptr), 0u);
  EXPECT_EQ(lutra_model_output_count(nullptr), 0u);
  EXPECT_EQ(lutra_model_input(nullptr, 0, &info), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_model_input(model_, 0, nullptr), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_model_output(nullptr, 0, &info), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_model_output(model_, 0, nullptr), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_create(nullptr, nullptr, &session),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_create(model_, nullptr, nullptr),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_prepare(nullptr, 1), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(Run(nullptr, 1), LUTRA_INVALID_ARGUMENT);
  lutra_session_options_init(nullptr);
  lutra_model_free(nullptr);
  lutra_session_free(nullptr);

  ASSERT_EQ(lutra_session_create(model_, nullptr, &session), LUTRA_OK);
  const void* inputs[] = {nullptr};
  float* outputs[] = {y_.data()};
  EXPECT_EQ(lutra_session_run(session, 1, nullptr, 1, outputs, 1),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_run(session, 1, inputs, 1, nullptr, 1),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_run(session, 1, inputs, 1, outputs, 1),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("one of the inputs is NULL"));
  inputs[0] = x_.data();
  outputs[0] = nullptr;
  EXPECT_EQ(lutra_session_run(session, 1, inputs, 1, outputs, 1),
            LUTRA_INVALID_ARGUMENT);
  lutra_session_free(session);
}

TEST_F(CApiTest, WrongUseIsReported) {
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_session_create(model_, nullptr, &session), LUTRA_OK);
  EXPECT_EQ(Run(session, 0), LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("at least one token"));
  const void* const inputs[] = {x_.data(), x_.data()};
  float* const outputs[] = {y_.data()};
  EXPECT_EQ(lutra_session_run(session, 1, inputs, 2, outputs, 1),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("2 inputs given"));
  EXPECT_EQ(lutra_session_prepare(session, std::numeric_limits<size_t>::max()),
            LUTRA_OUT_OF_MEMORY);
  EXPECT_THAT(lutra_last_error(), HasSubstr("overflow"));
  EXPECT_EQ(Run(session, 1), LUTRA_OK);
  lutra_session_free(session);

  lutra_model* model = nullptr;
  EXPECT_EQ(lutra_model_load(dir_.path().c_str(), &model),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(model, nullptr);
  EXPECT_THAT(lutra_last_error(), HasSubstr("is a folder"));
}

TEST_F(CApiTest, ASessionOutlivesItsModel) {
  lutra_session* session = nullptr;
  ASSERT_EQ(lutra_session_create(model_, nullptr, &session), LUTRA_OK);
  lutra_model_free(model_);
  model_ = nullptr;
  EXPECT_EQ(Run(session, 2), LUTRA_OK);
  lutra_session_free(session);
}

TEST_F(CApiTest, ErrorsBelongToTheirThread) {
  lutra_model_input(model_, 5, nullptr);
  const std::string here = lutra_last_error();
  std::string there = "not run";
  std::thread([&there] { there = lutra_last_error(); }).join();
  EXPECT_EQ(there, "");
  EXPECT_EQ(lutra_last_error(), here);
}

// Programs compiled with an older or a newer lutra.h.
TEST_F(CApiTest, OptionsOfOtherSizes) {
  struct {
    lutra_session_options known;
    size_t future;
  } newer;
  std::memset(&newer, 0xff, sizeof(newer));
  lutra_session_options_init_sized(&newer.known, sizeof(newer));
  EXPECT_EQ(newer.known.struct_size, sizeof(newer));
  EXPECT_EQ(newer.future, 0u);
  lutra_session* session = nullptr;
  EXPECT_EQ(lutra_session_create(model_, &newer.known, &session), LUTRA_OK);
  lutra_session_free(session);
  newer.future = 1;  // asks for something this library does not know
  EXPECT_EQ(lutra_session_create(model_, &newer.known, &session),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("newer"));

  // An older struct ends before `threads`; what follows is not the library's.
  lutra_session_options older;
  std::memset(&older, 0xff, sizeof(older));
  lutra_session_options_init_sized(&older,
                                   offsetof(lutra_session_options, threads));
  EXPECT_EQ(older.threads, ~size_t{0});
  EXPECT_EQ(lutra_session_create(model_, &older, &session), LUTRA_OK);
  lutra_session_free(session);

  older.struct_size = 0;
  EXPECT_EQ(lutra_session_create(model_, &older, &session),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(session, nullptr);
  lutra_session_options_init(&older);
  std::memset(&older.activations, 0x7f, 1);
  EXPECT_EQ(lutra_session_create(model_, &older, &session),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("unknown activations"));
}

}  // namespace
}  // namespace lutra
