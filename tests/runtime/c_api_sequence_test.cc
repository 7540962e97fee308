// The part of the C API for sequences.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "lutra.h"
#include "tests/runtime/tiny_language.h"
#include "tests/temp_dir.h"

namespace lutra {
namespace {

using ::testing::HasSubstr;

class CApiSequenceTest : public ::testing::Test {
 protected:
  CApiSequenceTest() {
    TinyLanguage{.context = 100, .packed = true}.Build().Write(path_);
    EXPECT_EQ(lutra_model_load(path_.c_str(), &model_), LUTRA_OK)
        << lutra_last_error();
    session_ = NewSession();
  }
  ~CApiSequenceTest() override {
    for (lutra_sequence* sequence : sequences_) lutra_sequence_free(sequence);
    lutra_session_free(session_);
    lutra_model_free(model_);
  }

  lutra_session* NewSession() {
    lutra_session* session = nullptr;
    EXPECT_EQ(lutra_session_create(model_, nullptr, &session), LUTRA_OK)
        << lutra_last_error();
    return session;
  }
  // Freed with the test.
  lutra_sequence* Own(lutra_sequence* sequence) {
    sequences_.push_back(sequence);
    return sequence;
  }
  lutra_sequence* Create() {
    lutra_sequence* sequence = nullptr;
    EXPECT_EQ(lutra_sequence_create(session_, &sequence), LUTRA_OK);
    return Own(sequence);
  }
  // Logits that follow the ids, fed to a session of their own.
  std::vector<float> Alone(const std::vector<int32_t>& ids) {
    lutra_session* session = NewSession();
    const float* logits = nullptr;
    EXPECT_EQ(lutra_session_feed(session, ids.data(), ids.size(), &logits),
              LUTRA_OK);
    std::vector<float> result(logits, logits + TinyLanguage::kVocabulary);
    lutra_session_free(session);
    return result;
  }
  std::vector<float> FeedRows(const std::vector<lutra_rows>& rows,
                              const std::vector<int32_t>& ids) {
    const float* logits = nullptr;
    EXPECT_EQ(lutra_session_feed_rows(session_, rows.data(), rows.size(),
                                      ids.data(), &logits),
              LUTRA_OK)
        << lutra_last_error();
    return {logits, logits + rows.size() * TinyLanguage::kVocabulary};
  }
  static std::vector<float> Joined(std::vector<float> a,
                                   const std::vector<float>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  TempDir dir_;
  const std::filesystem::path path_ = dir_ / "m.safetensors";
  lutra_model* model_ = nullptr;
  lutra_session* session_ = nullptr;
  std::vector<lutra_sequence*> sequences_;
};

TEST_F(CApiSequenceTest, SeveralTextsAtOnce) {
  const int32_t begin[] = {1, 5, 9};
  ASSERT_EQ(lutra_session_feed(session_, begin, 3, nullptr), LUTRA_OK);
  lutra_sequence* a = nullptr;
  lutra_sequence* b = nullptr;
  ASSERT_EQ(lutra_session_fork(session_, &a), LUTRA_OK);
  ASSERT_EQ(lutra_sequence_fork(Own(a), &b), LUTRA_OK);
  Own(b);
  EXPECT_EQ(FeedRows({{a, 1}, {b, 2}}, {7, 8, 4}),
            Joined(Alone({1, 5, 9, 7}), Alone({1, 5, 9, 8, 4})));
  EXPECT_EQ(lutra_sequence_position(a), 4u);
  EXPECT_EQ(lutra_sequence_position(b), 5u);
  EXPECT_EQ(lutra_session_position(session_), 3u);
  EXPECT_EQ(lutra_sequence_truncate(b, 3), LUTRA_OK);
  EXPECT_EQ(FeedRows({{b, 1}}, {2}), Alone({1, 5, 9, 2}));
  EXPECT_EQ(lutra_sequence_truncate(b, 5), LUTRA_INVALID_ARGUMENT);
}

TEST_F(CApiSequenceTest, RowsOfAnyModel) {
  lutra_sequence* a = Create();
  lutra_sequence* b = Create();
  const std::vector<int32_t> ids = {3, 4, 5};
  const lutra_rows rows[] = {{a, 2}, {b, 1}};
  std::vector<float> all(3 * TinyLanguage::kVocabulary);
  const void* const inputs[] = {ids.data()};
  float* outputs[] = {all.data()};
  ASSERT_EQ(lutra_session_run_rows(session_, rows, 2, 0, inputs, 1, outputs, 1),
            LUTRA_OK)
      << lutra_last_error();
  EXPECT_EQ(all, Joined(Joined(Alone({3}), Alone({3, 4})), Alone({5})));
  std::vector<float> last(2 * TinyLanguage::kVocabulary);
  outputs[0] = last.data();
  ASSERT_EQ(lutra_session_run_rows(session_, rows, 2, 1, inputs, 1, outputs, 1),
            LUTRA_OK);
  EXPECT_EQ(last, Joined(Alone({3, 4, 3, 4}), Alone({5, 5})));
}

TEST_F(CApiSequenceTest, SaveAndRestore) {
  lutra_sequence* sequence = Create();
  FeedRows({{sequence, 3}}, {1, 2, 3});
  size_t size = 0;
  ASSERT_EQ(lutra_sequence_save(sequence, nullptr, 0, &size), LUTRA_OK);
  std::vector<char> bytes(size);
  ASSERT_EQ(lutra_sequence_save(sequence, bytes.data(), size, &size), LUTRA_OK);
  ASSERT_EQ(size, bytes.size());
  lutra_sequence* restored = nullptr;
  ASSERT_EQ(lutra_sequence_restore(session_, bytes.data(), size, &restored),
            LUTRA_OK)
      << lutra_last_error();
  Own(restored);
  EXPECT_EQ(FeedRows({{restored, 1}}, {4}), Alone({1, 2, 3, 4}));
  // What does not fit is not written.
  std::vector<char> small(size - 1, 'x');
  ASSERT_EQ(lutra_sequence_save(sequence, small.data(), small.size(), &size),
            LUTRA_OK);
  EXPECT_EQ(size, bytes.size());
  EXPECT_EQ(small, std::vector<char>(size - 1, 'x'));
  bytes[size / 2] ^= 1;
  EXPECT_EQ(lutra_sequence_restore(session_, bytes.data(), size, &restored),
            LUTRA_DAMAGED);
  EXPECT_EQ(restored, nullptr);
  EXPECT_THAT(lutra_last_error(), HasSubstr("saved sequence: "));
}

TEST_F(CApiSequenceTest, WrongUse) {
  lutra_sequence* sequence = Create();
  lutra_sequence* other = sequence;
  size_t size = 0;
  const int32_t id = 1;
  const lutra_rows rows[] = {{sequence, 1}, {nullptr, 1}};
  EXPECT_EQ(lutra_sequence_create(nullptr, &other), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(other, nullptr);
  EXPECT_EQ(lutra_sequence_create(session_, nullptr), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_fork(nullptr, &other), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_sequence_fork(nullptr, &other), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_sequence_position(nullptr), 0u);
  EXPECT_EQ(lutra_sequence_truncate(nullptr, 0), LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_sequence_save(nullptr, nullptr, 0, &size),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_sequence_save(sequence, nullptr, 1, &size),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_sequence_restore(session_, nullptr, 8, &other),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_sequence_restore(session_, nullptr, 0, &other),
            LUTRA_DAMAGED);
  EXPECT_EQ(lutra_session_feed_rows(session_, nullptr, 1, &id, nullptr),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(lutra_session_feed_rows(session_, rows, 2, &id, nullptr),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_THAT(lutra_last_error(), HasSubstr("one of the sequences is NULL"));
  EXPECT_EQ(lutra_session_feed_rows(session_, rows, 1, nullptr, nullptr),
            LUTRA_INVALID_ARGUMENT);
  EXPECT_EQ(
      lutra_session_run_rows(session_, rows, 1, 0, nullptr, 1, nullptr, 1),
      LUTRA_INVALID_ARGUMENT);
  lutra_sequence_free(nullptr);
}

}  // namespace
}  // namespace lutra
