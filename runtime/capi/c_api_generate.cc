// Constraints and speculation of the C API.

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "lutra/runtime/speculation.h"
#include "lutra/runtime/token_constraint.h"
#include "runtime/capi/c_api.h"

using lutra::c_api::Fail;
using lutra::c_api::Guard;
using lutra::c_api::InitSized;
using lutra::c_api::NullArgument;
using lutra::c_api::ReadSized;

struct lutra_constraint {
  lutra::TokenConstraint constraint;
};

struct lutra_speculation {
  std::unique_ptr<lutra::Drafter> drafter;
  lutra::Speculation speculation;
};

namespace {

lutra::LanguageModel& LanguageOf(lutra_session& session) {
  auto* language = std::get_if<lutra::LanguageModel>(&session.any);
  if (language == nullptr) {
    throw lutra::Error("the model of a session is no language model");
  }
  return *language;
}

void CheckTokenizers(const lutra::Model& model, const lutra::Model& draft) {
  const auto mine = lutra::Tokenizer::FromModel(model);
  const auto theirs = lutra::Tokenizer::FromModel(draft);
  // Without one it is the app that knows what the ids mean.
  if (mine == nullptr || theirs == nullptr) return;
  lutra::CheckDraftTokenizer(*mine, *theirs);
}

}  // namespace

extern "C" {

void lutra_constraint_options_init_sized(lutra_constraint_options* options,
                                         size_t struct_size) {
  if (options == nullptr) return;
  lutra_constraint_options defaults = {};
  defaults.continues = 1;
  InitSized(defaults, struct_size, options);
}

lutra_status lutra_constraint_create(const lutra_model* model,
                                     const lutra_constraint_options* options,
                                     lutra_constraint** constraint) {
  if (constraint == nullptr) return NullArgument("constraint");
  *constraint = nullptr;
  if (model == nullptr) return NullArgument("model");
  if (options == nullptr) return NullArgument("options");
  lutra_constraint_options known;
  lutra_constraint_options_init(&known);
  const lutra_status status = ReadSized(*options, &known);
  if (status != LUTRA_OK) return status;
  if ((known.grammar == nullptr) == (known.json_schema == nullptr)) {
    return Fail(LUTRA_INVALID_ARGUMENT,
                "a constraint is either of a grammar or of a JSON schema");
  }
  if (known.ends == nullptr && known.end_count > 0) return NullArgument("ends");
  return Guard([&] {
    const auto grammar =
        known.grammar != nullptr
            ? lutra::Grammar::Parse(known.grammar)
            : lutra::Grammar::FromJsonSchema(known.json_schema);
    *constraint = new lutra_constraint{lutra::TokenConstraint(
        grammar, *model->RequireTokenizer(), lutra_model_vocabulary(model),
        {known.ends, known.end_count}, known.continues != 0)};
  });
}

void lutra_constraint_free(lutra_constraint* constraint) { delete constraint; }

lutra_status lutra_constraint_allowed(lutra_constraint* constraint,
                                      const uint32_t** allowed) {
  if (constraint == nullptr) return NullArgument("constraint");
  if (allowed == nullptr) return NullArgument("allowed");
  return Guard([&] { *allowed = constraint->constraint.Allowed().data(); });
}

lutra_status lutra_constraint_accept(lutra_constraint* constraint, int32_t id) {
  if (constraint == nullptr) return NullArgument("constraint");
  return Guard([&] { constraint->constraint.Accept(id); });
}

int lutra_constraint_is_complete(const lutra_constraint* constraint) {
  return constraint != nullptr && constraint->constraint.complete() ? 1 : 0;
}

int lutra_constraint_is_finished(const lutra_constraint* constraint) {
  return constraint != nullptr && constraint->constraint.finished() ? 1 : 0;
}

lutra_status lutra_constraint_reset(lutra_constraint* constraint,
                                    int continues) {
  if (constraint == nullptr) return NullArgument("constraint");
  return Guard([&] { constraint->constraint.Reset(continues != 0); });
}

void lutra_speculation_options_init_sized(lutra_speculation_options* options,
                                          size_t struct_size) {
  if (options == nullptr) return;
  lutra_speculation_options defaults = {};
  defaults.tokens = 8;
  defaults.least_probability = lutra::DraftModel::kLeastProbability;
  InitSized(defaults, struct_size, options);
}

lutra_status lutra_speculation_create(lutra_session* session,
                                      const lutra_speculation_options* options,
                                      lutra_speculation** speculation) {
  if (speculation == nullptr) return NullArgument("speculation");
  *speculation = nullptr;
  if (session == nullptr) return NullArgument("session");
  lutra_speculation_options known;
  lutra_speculation_options_init(&known);
  if (options != nullptr) {
    const lutra_status status = ReadSized(*options, &known);
    if (status != LUTRA_OK) return status;
  }
  if (known.draft == session) {
    return Fail(LUTRA_INVALID_ARGUMENT, "a session cannot be its own draft");
  }
  return Guard([&] {
    lutra::LanguageModel& model = LanguageOf(*session);
    std::unique_ptr<lutra::Drafter> drafter;
    if (known.draft == nullptr) {
      drafter = std::make_unique<lutra::PromptLookup>();
    } else {
      lutra::LanguageModel& draft = LanguageOf(*known.draft);
      CheckTokenizers(model.model(), draft.model());
      drafter =
          std::make_unique<lutra::DraftModel>(draft, known.least_probability);
    }
    lutra::Speculation speculative(model, *drafter, known.tokens);
    *speculation =
        new lutra_speculation{std::move(drafter), std::move(speculative)};
  });
}

void lutra_speculation_free(lutra_speculation* speculation) {
  if (speculation == nullptr) return;
  lutra_speculation_settle(speculation);
  delete speculation;
}

lutra_status lutra_speculation_feed(lutra_speculation* speculation,
                                    const int32_t* ids, size_t count,
                                    const float** logits) {
  if (speculation == nullptr) return NullArgument("speculation");
  if (ids == nullptr) return NullArgument("ids");
  return Guard([&] {
    const auto result = speculation->speculation.Feed({ids, count});
    if (logits != nullptr) *logits = result.data();
  });
}

size_t lutra_speculation_position(const lutra_speculation* speculation) {
  return speculation == nullptr ? 0 : speculation->speculation.position();
}

lutra_status lutra_speculation_settle(lutra_speculation* speculation) {
  if (speculation == nullptr) return NullArgument("speculation");
  return Guard([&] { speculation->speculation.Settle(); });
}

lutra_status lutra_speculation_counts(const lutra_speculation* speculation,
                                      size_t* guessed, size_t* accepted) {
  if (speculation == nullptr) return NullArgument("speculation");
  if (guessed != nullptr) *guessed = speculation->speculation.guessed();
  if (accepted != nullptr) *accepted = speculation->speculation.accepted();
  return LUTRA_OK;
}

}  // extern "C"
