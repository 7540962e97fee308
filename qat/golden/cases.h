#ifndef LUTRA_QAT_GOLDEN_CASES_H_
#define LUTRA_QAT_GOLDEN_CASES_H_

#include <vector>

#include "lutra/qat/golden.h"
#include "qat/golden/golden_file.h"

namespace lutra::qat {

// One function per kind of golden file; each appends a result per case.
void ReplayQuantizers(const GoldenFile& file, std::vector<GoldenResult>& out);
void ReplayProxMaps(const GoldenFile& file, std::vector<GoldenResult>& out);
void ReplayTrajectories(const GoldenFile& file, std::vector<GoldenResult>& out);
void ReplayTraining(const GoldenFile& file, std::vector<GoldenResult>& out);
void ReplayConversion(const GoldenFile& file, std::vector<GoldenResult>& out);
void ReplayFakeQuant(const GoldenFile& file, std::vector<GoldenResult>& out);

}  // namespace lutra::qat

#endif  // LUTRA_QAT_GOLDEN_CASES_H_
