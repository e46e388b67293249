/**
 * sherd: self-supervised pretraining of vision foundation models by masked image modelling, on LibTorch.
 *
 * The public library: the same pieces that the commands are made of, by the folders that they are in.
 */

export { benchData } from './bench/data-bench.ts'
export { benchGemm } from './bench/gemm-bench.ts'
export { benchPreset, missingModels, type PresetSpeed } from './bench/preset-bench.ts'
export { openStepBench, type StepBench } from './bench/step-bench.ts'
export { type FloatArray, type StoredArray, toFloat32 } from './checkpoint/arrays.ts'
export {
  damageOf,
  latestWhole,
  listCheckpoints,
  loadCheckpoint,
  saveCheckpoint,
  type Training,
} from './checkpoint/checkpoint.ts'
export { isBlank, type OpenedRun, openRun } from './checkpoint/run-folder.ts'
export { readArrays, readSafetensors, writeSafetensors } from './checkpoint/safetensors.ts'
export { openWeightsFile } from './checkpoint/weights-file.ts'
export { channelStatistics, openData, rasterOptions } from './config/assemble.ts'
export { keyNamed } from './config/common-names.ts'
export { type Yield, yieldsOf } from './config/in-words.ts'
export { chosenBy, describeKeys, expectChoice, type KeyDescription } from './config/keys.ts'
export { assignedKeys, withOverride } from './config/overrides.ts'
export type { Preset } from './config/preset.ts'
export { presetNames, presetOf } from './config/presets.ts'
export { type ReadingLimits, readingConfig } from './config/reading.ts'
export { backboneOf, bandsOf, dimensionsOf, rastersOf, resolveConfig } from './config/resolve.ts'
export type { Config, ConfigInput, RasterConfig } from './config/schema.ts'
export { storedConfig } from './config/stored.ts'
export { choosers } from './config/tables.ts'
export { expectUseful, modelReading } from './config/useless.ts'
export { type ErrorCode, SherdError } from './errors.ts'
export { besideRandom, isLearned, randomImages, weakResults } from './evaluate/beside-random.ts'
export { claimReports, type ReportRequest } from './evaluate/claim-report.ts'
export {
  type Comparison,
  compareReports,
  comparisonColumns,
  comparisonLines,
  comparisonMarkdown,
  comparisonNotes,
} from './evaluate/compare-reports.ts'
export { type Spread, spreadOf } from './evaluate/effective-rank.ts'
export {
  type ChosenMap,
  type EvaluateOptions,
  evaluate,
  judge,
  judgeWithMap,
  type Report,
} from './evaluate/evaluate.ts'
export { type SegmentationReport, type SegmentOptions, segment } from './evaluate/evaluate-segmentation.ts'
export { findSplit } from './evaluate/evaluation-data.ts'
export { openReport, reportMarkdown, writeReport } from './evaluate/evaluation-report.ts'
export { featureFormat, writeFeatures } from './evaluate/feature-file.ts'
export { finetune } from './evaluate/finetune.ts'
export {
  adaptedDefaults,
  type FinetuneOptions,
  type FinetuneSettings,
  finetuneDefaults,
} from './evaluate/finetune-settings.ts'
export { type KnnOptions, knnDefaults, knnVotes } from './evaluate/knn.ts'
export { fewOf, type Labelled, labelled, type Shots, splitByClass } from './evaluate/labelled-features.ts'
export {
  type LinearMap,
  type LinearProbeOptions,
  linearProbe,
  type Probed,
  sweeps,
} from './evaluate/linear-probe.ts'
export { withDeviation } from './evaluate/markdown.ts'
export { type MaskFiles, writeMasks } from './evaluate/mask-files.ts'
export { type Overlap, overlapOf } from './evaluate/mean-iou.ts'
export { openImages } from './evaluate/open-images.ts'
export {
  type ImagePrediction,
  predictionFormat,
  predictionsOf,
  writePredictions,
} from './evaluate/prediction-file.ts'
export { type ProtocolName, protocols } from './evaluate/protocols.ts'
export { type ReadReport, readReport } from './evaluate/read-report.ts'
export { saveProbe } from './evaluate/save-probe.ts'
export { meanAndDeviation, type Scores, scoresOf } from './evaluate/scores.ts'
export { type Segmented, segmentationDefaults, trainHead } from './evaluate/segmentation.ts'
export { segmentationMarkdown, writeSegmentation } from './evaluate/segmentation-report.ts'
export { cardScores, sealsOfReports } from './export/card-scores.ts'
export { type ClassifierLayout, classifierLayouts } from './export/classifier-layouts.ts'
export { encoderGraph } from './export/encoder-graph.ts'
export {
  type ExportedFolder,
  exportHuggingface,
  type HuggingfaceOptions,
} from './export/export-huggingface.ts'
export { type Exported, type ExportOptions, exportOnnx } from './export/export-onnx.ts'
export { exportTimm, type TimmOptions } from './export/export-timm.ts'
export { type FormatRow, formats, type GraphName } from './export/formats.ts'
export type { HuggingfaceDtype, HuggingfaceOnnx } from './export/huggingface-onnx.ts'
export { openModel, usualGraphs } from './export/model-parts.ts'
export { type ExportedEncoder, type PixelsInput, pixelsInput } from './export/pixels-input.ts'
export { positionsOf } from './export/positions-input.ts'
export { type ExportPrecision, precisions } from './export/precision.ts'
export { samplesOf } from './export/sample-input.ts'
export { type Claim, type ClaimRequest, claim, claimed, type Draft, expectFree } from './files/claim.ts'
export { expectWritable, writeWhole } from './files/write-whole.ts'
export { type HubListener, listenToHub } from './hub/listener.ts'
export {
  type FetchOptions,
  fetchModel,
  type HubLocated,
  type LocatedModel,
  localModel,
} from './hub/locate.ts'
export { expectPush, type Pushed, type PushOptions, type PushPlan, planPush, push } from './hub/push.ts'
export { flatten } from './import/flatten.ts'
export { openForeign } from './import/foreign.ts'
export { type Imported, type ImportOptions, importWeights } from './import/import.ts'
export { type LayoutName, layouts } from './import/layouts.ts'
export { statisticsOf } from './import/preprocessing.ts'
export { type Taken, takenText } from './import/taken.ts'
export { openTorchFile, type TorchFile } from './import/torch-file.ts'
export type { TorchTensor } from './import/torch-objects.ts'
export { type OnnxClassifier, onnxLogits, openOnnxClassifier } from './infer/onnx-classifier.ts'
export {
  type OnnxEncoder,
  onnxFeatures,
  onnxFeaturesOfSource,
  openOnnxEncoder,
} from './infer/onnx-encoder.ts'
export { expectPlainRequest, type OnnxModel, openOnnxModel } from './infer/onnx-model.ts'
export { type OnnxSegmenter, onnxSegmentation, openOnnxSegmenter } from './infer/onnx-segmenter.ts'
export { inspect, modelsIn } from './inspect/inspect.ts'
export type { Inspected, InspectOptions } from './inspect/inspected.ts'
export { type DrawLookOptions, drawLook, type LookReport } from './look/draw-look.ts'
export { type Look, type LookOptions, lookAt } from './look/look.ts'
export { describeMachine, type MachineDescription } from './machine/describe.ts'
export { examine, type Finding } from './machine/doctor.ts'
export { measurePeak } from './machine/gemm.ts'
export { type PrecisionName, planMachine, precisionNames } from './machine/plan.ts'
export { reportOf } from './machine/report.ts'
export { type SetupResult, setUp, setUpPrebuilt } from './machine/setup.ts'
export { type Backbone, backboneRows, openBackbone } from './model/backbone.ts'
export { type BackboneShape, plainBackbone } from './model/backbone-shape.ts'
export type { DecoderDimensions, EncoderDimensions } from './model/dimensions.ts'
export type { EarlyHead } from './model/early-head.ts'
export { type Encoded, encode } from './model/encoder.ts'
export {
  initialParameters,
  loadParameters,
  type ParameterRow,
  type Parameters,
  parameterCount,
  type Weights,
  weightsOf,
} from './model/parameters.ts'
export { type SegmentationHead, segmentationHeads } from './model/segmentation-heads.ts'
export { sizes } from './model/sizes.ts'
export { type AttentionMaskOptions, chooseByAttention } from './objective/attention-mask.ts'
export { chooseHardPatches, type HardPatchesOptions } from './objective/hard-patches.ts'
export { type Ijepa, type IjepaOptions, ijepa } from './objective/ijepa.ts'
export { totalOf } from './objective/losses.ts'
export { type MaeOptions, mae } from './objective/mae.ts'
export { chooseByFiles, type MaskFunction } from './objective/mask-chooser.ts'
export {
  asInBeit,
  asInBeitv2,
  asInMaskfeat,
  type MaskTokenOptions,
  maskTokens,
} from './objective/mask-tokens.ts'
export type { MaskedObjective, MaskedOptions, Prediction } from './objective/masked.ts'
export type { At, Average, BatchObjective, Losses, Objective, RowsObjective } from './objective/objective.ts'
export type { CodebookOptions, TokenizerObjective } from './objective/tokenizer.ts'
export { vqPixels } from './objective/vq-pixels.ts'
export { vqkd } from './objective/vqkd.ts'
export { checkGraph } from './onnx/check-graph.ts'
export type { Graph } from './onnx/graph.ts'
export { onnxParts, readMetadata, writeParts } from './onnx/onnx-file.ts'
export { openSession, type Session, type TensorData } from './onnx/session.ts'
export { openSessionThread, type ThreadedSession } from './onnx/session-thread.ts'
export type { GroupRow } from './optim/groups.ts'
export { initialState, type Optimizer, type OptimizerState } from './optim/optimizer.ts'
export { type OptimizerChoice, optimizerOf, optimizers } from './optim/optimizers.ts'
export {
  learningRateAt,
  rateScalings,
  type Schedule,
  scaledLearningRate,
  valueAt,
  type WarmupCosine,
} from './optim/schedule.ts'
export { type UpdateOptions, updateOf } from './optim/update.ts'
export { type CodeSheet, drawCodeSheet, perplexityOf, usesOfCodes } from './picture/code-sheet.ts'
export { type Composite, compositesOf, compositeTile, stretchOf } from './picture/composite.ts'
export { drawLossCurve } from './picture/loss-curve.ts'
export { type ReconstructionOptions, type Reconstructions, reconstruct } from './picture/reconstruction.ts'
export { drawReconstructions } from './picture/reconstruction-grid.ts'
export { type Plan, type PlanOptions, planTraining } from './plan/plan.ts'
export type { Proposal } from './plan/proposal.ts'
export type { Raster } from './prepare/augment/change.ts'
export { applySteps } from './prepare/augment/operators.ts'
export { drawPhotometric, type PhotometricRecipe, type ViewAddress } from './prepare/augment/photometric.ts'
export { photometricRecipes } from './prepare/augment/photometric-recipes.ts'
export type { Step } from './prepare/augment/step.ts'
export { depthNote } from './prepare/decode/bit-depth.ts'
export { configureDecoder, defaultMaxPixels } from './prepare/decode/decode.ts'
export { quitIfStuck } from './prepare/decode/quit.ts'
export type { Field, Fields } from './prepare/fields.ts'
export { type Batch, type Loader, type LoaderOptions, openLoader } from './prepare/loader/loader.ts'
export {
  type ChannelStatistics,
  imagenetStatistics,
  normalizePixels,
  toView,
} from './prepare/normalize.ts'
export { type PackOptions, type PackSummary, packImages } from './prepare/pack/pack.ts'
export type { Pixels } from './prepare/pixels.ts'
export { measureRasterStatistics } from './prepare/raster/raster-statistics.ts'
export { measureStatistics } from './prepare/statistics.ts'
export { pixelsOf, toViews } from './prepare/upload.ts'
export { type View, viewOf } from './prepare/view.ts'
export type { ViewSpec, ViewSpecs } from './prepare/view-spec.ts'
export { type Address, type Draws, draws } from './random/draws.ts'
export {
  type Donor,
  expectContinues,
  type FoundDonor,
  findDonor,
  startingFrom,
  withDonor,
} from './run/donor.ts'
export type { RunEvent, RunProgress } from './run/events.ts'
export { type Existing, existingRun, type RunRequest } from './run/existing.ts'
export { type Inheritance, inherit } from './run/inherit.ts'
export { type MaskPreview, type PreviewOptions, previewMasks, type ShownMask } from './run/mask-preview.ts'
export { type Exhibit, loadExhibit, reconstructExhibit } from './run/pictures.ts'
export { type PretrainOptions, pretrain } from './run/pretrain.ts'
export { settleReplacement } from './run/replace.ts'
export { isSampleSet } from './sample-data/marked-set.ts'
export { writeSatelliteData } from './sample-data/satellite/write-places.ts'
export { writeSampleData } from './sample-data/write-scenes.ts'
export { claimFeatures, claimIndex, claimUpdate } from './search/claim-index.ts'
export {
  type Classified,
  type Classifier,
  classifyFolder,
  openAnyClassifier,
} from './search/classify-folder.ts'
export { type Embedded, embedFolder } from './search/embed-folder.ts'
export { type Embedder, embedFiles, openEmbedder } from './search/embedder.ts'
export { hardlyTrained } from './search/hardly-trained.ts'
export { type ClusterReport, findClusters } from './search/index-clusters.ts'
export { type DuplicateReport, findDuplicates, shownOf } from './search/index-duplicates.ts'
export { indexFeatures } from './search/index-features.ts'
export { type ImageIndex, type IndexFacts, openIndex } from './search/index-folder.ts'
export { findOutliers, type NamedOutlier } from './search/index-outliers.ts'
export { type Asked, drawClusters, drawDuplicates, drawFound, drawOutliers } from './search/index-sheets.ts'
export { clustersTable, duplicatesTable, outliersTable } from './search/index-tables.ts'
export {
  expectModel,
  type Indexed,
  type IndexOptions,
  indexFolder,
  updateIndex,
} from './search/make-index.ts'
export { type Found, rowOfQuery, searchIndex, unknownQuery, vectorsOfRows } from './search/search-index.ts'
export { thumbnailOfFile, thumbnailsOf } from './search/thumbnails.ts'
export { type Tokenized, type TokenizeOptions, tokenizeFolder } from './search/tokenize-folder.ts'
export { type Clusters, clusterDefaults, clustersOf } from './search/vectors/clusters.ts'
export { type DuplicateGroup, duplicatesOf } from './search/vectors/duplicates.ts'
export { openExact } from './search/vectors/exact.ts'
export { type Agreement, agreementOf } from './search/vectors/label-agreement.ts'
export { type Near, nearest } from './search/vectors/nearest.ts'
export { buildGraph, type GraphSettings, graphDefaults, openGraph } from './search/vectors/neighbour-graph.ts'
export { type Neighbourhoods, neighbourhoodsOf } from './search/vectors/neighbourhoods.ts'
export { type Outlier, outliersOf } from './search/vectors/outliers.ts'
export { silhouetteOf } from './search/vectors/silhouette.ts'
export { unitVectors, type Vectors } from './search/vectors/unit-vectors.ts'
export { type Limits, limitDefaults } from './serve/limits.ts'
export { type ServeOptions, type Server, serve } from './serve/serve.ts'
export { type ImageFolder, openImageFolder } from './source/image-folder.ts'
export { listenToNotes, type NoteListener } from './source/notes.ts'
export { type ImageSource, openSource } from './source/open.ts'
export {
  checkPack,
  isPack,
  openPack,
  type PackedImages,
  type PackManifest,
} from './source/packed-images.ts'
export { openRasterFolder, type RasterFolder, type RasterOptions } from './source/raster/raster-folder.ts'
export { type BandStatistics, bandStatistics } from './target/band-pixels.ts'
export { predictCodes } from './target/codes.ts'
export { type FeatureOptions, predictFeatures } from './target/features.ts'
export type { FrozenModel } from './target/frozen-model.ts'
export type { FrozenTokenizer } from './target/frozen-tokenizer.ts'
export type { HistogramOptions } from './target/gradient-histograms.ts'
export { type HogOptions, predictHog } from './target/hog.ts'
export { type PixelOptions, predictPixels } from './target/pixel-target.ts'
export { patchStatistics, pixelLoss, pixelTarget, withStatistics } from './target/pixels.ts'
export { meanQuality, type Quality } from './target/reconstruction-quality.ts'
export type { Momentum, Target, TargetMaker } from './target/target.ts'
export { predictTeacher, type TeacherOptions } from './target/teacher.ts'
export {
  autocast,
  backward,
  clearGradients,
  engineBuild,
  gradient,
  manualSeed,
  noGrad,
  requireGradient,
  setThreads,
  synchronize,
} from './tensor/context.ts'
export type { ArrayOf, DType } from './tensor/dtype.ts'
export { type Kernels, withKernels } from './tensor/fused.ts'
export * as ops from './tensor/ops.ts'
export { quitAtSecondSignal } from './tensor/process.ts'
export { type RecordOptions, record, type Tape } from './tensor/record.ts'
export { liveTensors, scope } from './tensor/scope.ts'
export {
  type Device,
  fromArray,
  item,
  type Shape,
  Tensor,
  tensor,
  toArray,
  toFloats,
} from './tensor/tensor.ts'
export { type FeatureName, parseFeature, type VectorFeature } from './token/feature.ts'
export { type Grid, gridOf, type PatchSize } from './token/grid.ts'
export type { TokenLayout } from './token/layout.ts'
export { type MaskPlan, maskNoise, maskOf, planFromMask, planFromNoise } from './token/mask.ts'
export { type MaskDesign, randomMask } from './token/mask-design.ts'
export { type MaskKind, type MaskShape, maskKindNames } from './token/mask-kinds.ts'
export { keptCount, type MaskOrder, maskOrder } from './token/mask-order.ts'
export type { MultiBlockShape } from './token/multi-block.ts'
export { patchify, unpatchify } from './token/patchify.ts'
export { pool } from './token/pool.ts'
export { sineCosinePositions } from './token/position.ts'
export { clsOf, type Prefix, patchesOf } from './token/prefix.ts'
export { appendRows, type TableRows, tokenSequence } from './token/sequence.ts'
export { type TimeField, timeFields } from './token/sine-cosine.ts'
export type { SpectralGroups } from './token/spectral-groups.ts'
export type { StepEvent } from './train/events.ts'
export { type TrainOptions, train } from './train/loop.ts'
export type { Span } from './train/span.ts'
export { beginStep, type StepResult } from './train/step.ts'
export type { Sampled, StepRequest, Trainee } from './train/trainee.ts'
export type { Check } from './verify/check.ts'
export { type ReferenceFile, referenceFiles } from './verify/reference-files.ts'
export { type Verification, verify, verifyFile } from './verify/verify.ts'
export { type CodesReading, codesOfFolder, codesOfSource, type FolderCodes } from './weights/folder-codes.ts'
export { type FolderFeatures, featuresOf, featuresOfSource } from './weights/folder-features.ts'
export type { FolderLogits } from './weights/folder-logits.ts'
export type { FolderSegmentation } from './weights/folder-segmentation.ts'
export { sealOfModel, sealOfWeights } from './weights/found-weights.ts'
export { type FrozenClassifier, logitsOf } from './weights/frozen-classifier.ts'
export {
  extractFeatures,
  type Features,
  type FeatureValues,
  type FrozenEncoder,
  tokensOf,
  valuesOf,
} from './weights/frozen-encoder.ts'
export { type FrozenSegmenter, pixelLogitsOf } from './weights/frozen-segmenter.ts'
export { type OpenedTokenizer, openTokenizer, type TokenizerRequest } from './weights/frozen-tokenizer.ts'
export { asTaken, type HowTaken } from './weights/how-taken.ts'
export { type LoadedModel, loadModel } from './weights/load-model.ts'
export { classifierLogits, type OpenedClassifier, openClassifier } from './weights/open-classifier.ts'
export {
  type EncoderRequest,
  type FoundWeights,
  findWeights,
  type ModelOrigin,
  type OpenedEncoder,
  openEncoder,
} from './weights/open-encoder.ts'
export { type OpenedSegmenter, openSegmenter, segmentationOf } from './weights/open-segmenter.ts'
