#include "tools/verbs/train.h"

#include "tools/cli/options.h"
#include "tools/cli/table.h"
#include "tools/verbs/verbs.h"

namespace lutra::tools {
namespace {

constexpr const char* kTrainExample =
    "A model with float weights (from 'lutra import', or of an earlier run) "
    "is\n"
    "trained on; without one a new network for images is made. Models that\n"
    "take ids learn the next token of texts: --data is a text file or a\n"
    "folder of .txt files. All others learn labels: --data is a folder with\n"
    "idx files of images, with NumPy's arrays (train-images.npy,\n"
    "train-labels.npy, test-images.npy, test-labels.npy), or with a file of\n"
    "signed bytes for each sample and y_labels.csv.\n"
    "\n"
    "Without --bits, --preset or --spec the weights stay float. With one of\n"
    "them they finish on a grid, ready for 'lutra pack' (--pack does both);\n"
    "start such a run from float weights.\n"
    "\n"
    "Examples:\n"
    "  lutra train --data /usr/share/datasets/fashion-mnist \\\n"
    "    --hidden 256,128 -o float.safetensors\n"
    "  lutra train float.safetensors --data /usr/share/datasets/fashion-mnist"
    " \\\n"
    "    --bits 2 --group-size row --rule 'fc3=bits:4' -o qat.safetensors\n"
    "  lutra train stories.safetensors --data texts/ --validate val.txt \\\n"
    "    --steps 1000 --bits 2 --group-size 32 --exclude embed \\\n"
    "    -o qat.safetensors --pack packed.safetensors\n"
    "  lutra train stories.safetensors --data texts/ --spec int8.json "
    "--dry-run\n"
    "  lutra train packed.safetensors --data texts/ --lora 8 --activations "
    "int8 \\\n"
    "    -o adapted.safetensors\n"
    "  lutra train run.json --steps 2000   # other options from a file\n"
    "  mpirun -n 4 lutra train ...         # four processes share each step\n"
    "  lutra train ... --checkpoint run/   # stopped\n"
    "  lutra train ... --checkpoint run/ --resume   # goes on";

std::string Both(double images, double texts) {
  return Short(images) + ", for texts " + Short(texts);
}

}  // namespace

void AddTrainVerb(CommandLine& line) {
  auto verb = std::make_shared<TrainVerb>();
  Verb train =
      line.AddVerb("train", "Train a model, in float or with few bits");
  train.Footer(kTrainExample);
  train.Add(
      "MODEL", verb->model,
      "Model file with float weights to train on; with --lora also packed");
  train
      .Add("--data", verb->data,
           "Folder with labelled samples (below), or texts: a file or a folder")
      .TypeName("PATH")
      .Required();
  const Option validate =
      train
          .Add("--validate", verb->validation,
               "Judged after each epoch: texts, or another folder for its test "
               "images")
          .TypeName("PATH");
  verb->of_labels.push_back(
      {"--holdout",
       train
           .Add("--holdout", verb->labelled.held_out,
                "Share of the images that is judged and not trained on")
           .TypeName("X")
           .Range(0.0, 1.0)
           .Excludes(validate)});
  AddByteOptions(train, verb->labelled);
  verb->of_labels.push_back(
      {"--mixup", train
                      .Add("--mixup", verb->augmentation.mixup,
                           "Share of the images that another one is mixed "
                           "into, mostly a little; the label stays")
                      .TypeName("X")
                      .Range(0.0, 1.0)
                      .ShowDefault()});
  verb->of_labels.push_back(
      {"--shift",
       AddSizesOption(train, "--shift", verb->shift, 0, size_t{1} << 20,
                      "The furthest that images are moved along their first "
                      "dimension, and their second")
           .ShowDefault("")});
  verb->of_labels.push_back(
      {"--noise", train
                      .Add("--noise", verb->augmentation.noise,
                           "Noise of up to so many times a value's deviation "
                           "over the data")
                      .TypeName("X")
                      .NotNegative()
                      .ShowDefault()});
  train
      .Add("-o,--output", verb->output,
           "Model file to write; needed but for --dry-run")
      .TypeName("FILE");
  train.AddFlag("--dry-run", verb->dry_run,
                "Show which rule gives which weight and input what, and stop");
  train.AddFlag("--keep-best", verb->keep_best,
                "Write the model of the epoch that was judged best, among "
                "those whose weights are on their grid");
  train
      .Add("--pack", verb->packed,
           "Also pack the result into this file, without loss")
      .TypeName("FILE");
  train
      .Add("--log", verb->log,
           "File for a line about each step: CSV for .csv, else JSON")
      .TypeName("FILE");
  const Option init =
      train.Add("--init", verb->init, "Another way to say MODEL")
          .TypeName("FILE");
  verb->of_new.push_back(
      {"--hidden",
       AddSizesOption(train, "--hidden", verb->hidden, 1, size_t{1} << 20,
                      "Sizes of the hidden layers of a new model")
           .Excludes(init)});

  qat::TrainOptions& options = verb->options;
  const Option epochs =
      train
          .Add("--epochs", verb->epochs,
               "Passes over the data (" +
                   Both(static_cast<double>(kImageDefaults.epochs),
                        static_cast<double>(kTextDefaults.epochs)) +
                   ")")
          .TypeName("N")
          .Range(int64_t{1}, int64_t{1} << 20);
  train.Add("--steps", options.steps, "End after that many steps instead")
      .TypeName("N")
      .Range(int64_t{0}, int64_t{1} << 40)
      .Excludes(epochs);
  train
      .Add("--batch", verb->batch,
           "Images or windows of text per step (" +
               Both(static_cast<double>(kImageDefaults.batch),
                    static_cast<double>(kTextDefaults.batch)) +
               ")")
      .TypeName("N")
      .Range(size_t{1}, kMaxBatch);
  train
      .Add("--micro-batch", options.micro_batch,
           "Compute so many of them at a time, which bounds the memory; 0: all")
      .TypeName("N")
      .Range(size_t{0}, kMaxBatch)
      .ShowDefault();
  train.AddFlag("--recompute", options.recompute,
                "Compute what layers leave for their gradients a second time "
                "instead of keeping it: a fraction of the memory, about a "
                "quarter more time, the same result");
  train
      .Add("--shards", verb->shards,
           "Parts of a step whose gradients are added in a fixed order, and "
           "that processes of mpirun share: any number of them has the same "
           "result (their number, alone 1)")
      .TypeName("N")
      .Range(size_t{1}, kMaxBatch);
  verb->of_texts.push_back(
      {"--length",
       train.Add("--length", verb->text.length, "Tokens of a window of text")
           .TypeName("N")
           .Range(size_t{1}, size_t{1} << 24)
           .ShowDefault()});
  verb->of_texts.push_back(
      {"--separator", train
                          .Add("--separator", verb->text.separator,
                               "What stands between documents of a text file")
                          .TypeName("TEXT")
                          .ShowDefault()});
  verb->of_texts.push_back(
      {"--token-cache",
       train
           .Add("--token-cache", verb->text.cache,
                "File that keeps the tokens of --data: it is made once, and "
                "anew when texts or tokenizer are others")
           .TypeName("FILE")});
  verb->of_texts.push_back(
      {"--cache",
       train
           .AddParsed(
               "--cache",
               [verb = verb.get()](const std::string& text) {
                 AsUsage("--cache",
                         [&] { verb->cache = ParseCacheType(text); });
               },
               "How attention keeps keys and values, recorded in the model: "
               "float32 (the default), float16 or int8")
           .TypeName("TYPE")});
  train.Add("--optimizer", verb->optimizer, "adamw, adam or sgd (Nesterov's)")
      .TypeName("NAME")
      .OneOf({"adamw", "adam", "sgd"})
      .ShowDefault();
  train
      .Add("--lr", verb->learning_rate,
           "Highest learning rate (" +
               Both(kImageDefaults.float_rate, kTextDefaults.float_rate) +
               "; with --bits " +
               Both(kImageDefaults.quantized_rate,
                    kTextDefaults.quantized_rate) +
               ")")
      .TypeName("X")
      .Positive();
  train
      .Add("--lr-decay", verb->decay,
           "How it falls at the end: cosine, linear, sqrt or constant")
      .TypeName("NAME")
      .OneOf({"cosine", "linear", "sqrt", "constant"})
      .ShowDefault();
  verb->of_decay.push_back(
      {"--lr-decay-share", train
                               .Add("--lr-decay-share", options.decay_share,
                                    "Share of all steps in which it falls")
                               .TypeName("X")
                               .Positive()
                               .ShowDefault()});
  verb->of_decay.push_back(
      {"--lr-floor",
       train
           .Add("--lr-floor", verb->rate_floor,
                "Where it ends, as a share of the highest (" +
                    Both(kImageDefaults.rate_floor, kTextDefaults.rate_floor) +
                    ")")
           .TypeName("X")
           .NotNegative()});
  train
      .Add("--warmup", verb->warmup,
           "Epochs in which the learning rate rises (0.5; for texts and with "
           "--steps 5 % of all)")
      .TypeName("X")
      .NotNegative();
  train
      .Add("--weight-decay", options.weight_decay,
           "Of the optimizer, on weights but not on biases and norms")
      .TypeName("X")
      .NotNegative()
      .ShowDefault();
  train
      .Add("--param-rule", verb->param_rules,
           "Another learning rate, as a multiple of --lr (0: does not learn), "
           "or weight decay for tensors whose name matches a regular "
           "expression; may be repeated, the first match counts")
      .TypeName("PATTERN=lr:X,decay:X")
      .OneAtATime();
  train
      .Add("--average", options.average,
           "Write an average of the weights that decays so (0: the last ones)")
      .TypeName("X")
      .Range(0.0, 1.0)
      .ShowDefault();
  verb->of_adam.push_back(
      {"--beta1", train.Add("--beta1", options.beta1, "Of adamw and adam")
                      .TypeName("X")
                      .NotNegative()
                      .ShowDefault()});
  verb->of_adam.push_back(
      {"--beta2",
       train
           .Add("--beta2", verb->beta2,
                "Of adamw and adam (" +
                    Both(kImageDefaults.beta2, kTextDefaults.beta2) + ")")
           .TypeName("X")
           .NotNegative()});
  train
      .Add("--clip", verb->clip,
           "Largest norm of the gradients, 0: any (" +
               Both(kImageDefaults.clip, kTextDefaults.clip) + ")")
      .TypeName("X")
      .NotNegative();
  train
      .Add("--label-smoothing", options.label_smoothing,
           "Share of the target that all classes get")
      .TypeName("X")
      .NotNegative()
      .ShowDefault();
  const Option teacher =
      train
          .Add("--teacher", verb->teacher,
               "Model with float weights whose outputs are learned from")
          .TypeName("FILE");
  train
      .Add("--distillation", verb->distillation,
           "Share of the loss that is the distance to the teacher (" +
               Short(kDistillation) + ")")
      .TypeName("X")
      .NotNegative()
      .Needs(teacher);
  const Option cache =
      train
          .Add("--teacher-cache", options.teacher_cache,
               "File that keeps the teacher's most probable classes: it runs "
               "once, and later runs with the same data, seed and batch read "
               "the file")
          .TypeName("FILE")
          .Needs(teacher);
  train
      .Add("--teacher-top", options.teacher_top,
           "Classes that the file keeps of each row")
      .TypeName("N")
      .Range(size_t{1}, size_t{1} << 24)
      .Needs(cache)
      .ShowDefault();
  train
      .Add("--temperature", options.temperature,
           "At which the two are compared")
      .TypeName("X")
      .Positive()
      .Needs(teacher)
      .ShowDefault();
  const Option lora =
      train
          .Add("--lora", verb->rank,
               "Train adapters of this rank beside the linear layers, whose "
               "weights stay as they are and may be packed")
          .TypeName("RANK")
          .Range(size_t{1}, size_t{1} << 16);
  train
      .Add("--lora-alpha", verb->alpha,
           "Adapters count alpha / rank (twice the rank)")
      .TypeName("X")
      .Positive()
      .Needs(lora);
  train
      .Add("--lora-target", verb->adapter_targets,
           "Layers with an adapter, by a regular expression on the weight's "
           "name (all but the last); may be repeated")
      .TypeName("PATTERN")
      .OneAtATime()
      .Needs(lora);
  train
      .Add("--seed", options.seed,
           "Of the new model's weights and the order of the data")
      .TypeName("N")
      .ShowDefault();

  AddSchemeOptions(train, verb->schemes);
  const Option bits = verb->schemes.bits_option;
  bits.ShowDefault("");  // without it nothing is quantized
  verb->schemes.group_size_option.Needs(bits);
  verb->schemes.quantizer_option.Needs(bits);
  verb->schemes.scale_type_option.Needs(bits);
  verb->of_bits.push_back(
      {"--prox", train
                     .Add("--prox,--quant-proxmap", verb->quantization.prox_map,
                          "How weights are pulled to the grid: parq, hard, "
                          "binaryrelax, stochastic (rounding up or down at "
                          "random until --anneal-end)")
                     .TypeName("NAME")
                     .OneOf({"parq", "hard", "binaryrelax", "stochastic"})
                     .ShowDefault()});
  verb->of_bits.push_back(
      {"--anneal-start",
       train
           .Add("--anneal-start", verb->quantization.anneal_start,
                "Epoch at which the pull begins")
           .TypeName("X")
           .NotNegative()
           .ShowDefault()});
  verb->of_bits.push_back(
      {"--anneal-end", train
                           .Add("--anneal-end", verb->anneal_end,
                                "Epoch from which weights are on the grid (" +
                                    Short(kAnnealEnd) + " of --epochs)")
                           .TypeName("X")
                           .NotNegative()});
  verb->of_bits.push_back(
      {"--anneal-steepness",
       train
           .Add("--anneal-steepness", verb->quantization.anneal_steepness,
                "Of parq's schedule, 1 to 100")
           .TypeName("X")
           .Positive()
           .ShowDefault()});
  const Option period = train
                            .Add("--quant-period", verb->quantization.period,
                                 "Steps between two grids")
                            .TypeName("N")
                            .Range(int64_t{1}, int64_t{1} << 40)
                            .ShowDefault();
  verb->of_bits.push_back({"--quant-period", period});
  const Option learn_scales =
      train
          .AddFlag("--learn-scales", verb->quantization.learned_scales,
                   "Train the scales, too, instead of deriving them from the "
                   "weights")
          .Excludes(period);
  verb->of_bits.push_back({"--learn-scales", learn_scales});
  verb->of_bits.push_back(
      {"--scale-lr", train
                         .Add("--scale-lr", verb->quantization.scale_rate,
                              "Their learning rate, as a multiple of --lr")
                         .TypeName("X")
                         .Positive()
                         .Needs(learn_scales)
                         .ShowDefault()});

  verb->of_moving.push_back(
      {"--range-period",
       train
           .Add("--range-period", options.range_period,
                "Steps between two looks at fixed ranges of activations that "
                "follow the training (observer mean-max of a specification)")
           .TypeName("N")
           .Range(int64_t{1}, int64_t{1} << 40)
           .ShowDefault()});
  const Option checkpoint =
      train
          .Add("--checkpoint", options.checkpoint,
               "Folder to keep a checkpoint in, renewed every epoch")
          .TypeName("DIR");
  train
      .Add("--checkpoint-steps", options.checkpoint_steps,
           "Renew it every N steps as well; 0: do not")
      .TypeName("N")
      .Range(int64_t{0}, int64_t{1} << 40)
      .Needs(checkpoint)
      .ShowDefault();
  train.AddFlag("--resume", verb->resume, "Continue from the checkpoint")
      .Needs(checkpoint);
  AddThreadsOption(train, verb->threads);
  train.OnRun([verb] { verb->Run(); });
}

}  // namespace lutra::tools
