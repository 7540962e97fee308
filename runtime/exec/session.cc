#include "lutra/runtime/session.h"

#include <utility>

namespace lutra {

Session::Session(std::shared_ptr<const Model> model,
                 const ProgramOptions& options)
    : program_(std::move(model), options), sequence_(program_.NewSequence()) {}

void Session::PrepareTokens(size_t m) {
  if (context() != 0 && m <= context() - position()) {
    sequence_.Reserve(position() + m);
  }
}

void Session::Prepare(size_t m) {
  program_.Reserve(m, m);
  PrepareTokens(m);
}

void Session::PrepareLast(size_t m) {
  program_.Reserve(m, 1);
  PrepareTokens(m);
}

MemoryReport Session::Memory() const {
  MemoryReport report = program_.Memory();
  report.state = sequence_.ByteCount();
  return report;
}

void Session::Run(size_t m, Span<const void* const> inputs,
                  Span<float* const> outputs) {
  const Program::Rows rows = {&sequence_, m};
  program_.Run({&rows, 1}, inputs, outputs);
}

void Session::RunLast(size_t m, Span<const void* const> inputs,
                      Span<float* const> outputs) {
  const Program::Rows rows = {&sequence_, m};
  program_.RunLast({&rows, 1}, inputs, outputs);
}

}  // namespace lutra
