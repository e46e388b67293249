/**
 * sherd: self-supervised pretraining of vision foundation models by masked image modelling, on LibTorch.
 *
 * The public library. The same pieces that the commands are made of, in the order of the data flow.
 */

export { type FloatArray, type StoredArray, toFloat32 } from './checkpoint/arrays.ts'
export {
  damageOf,
  latestWhole,
  listCheckpoints,
  loadCheckpoint,
  saveCheckpoint,
  type Training,
} from './checkpoint/checkpoint.ts'
export { flatten } from './checkpoint/flatten.ts'
export { openForeign } from './checkpoint/foreign.ts'
export { type LayoutName, layouts } from './checkpoint/layouts.ts'
export { readArrays, readSafetensors, writeSafetensors } from './checkpoint/safetensors.ts'
export { openTorchFile, type TorchFile } from './checkpoint/torch-file.ts'
export type { TorchTensor } from './checkpoint/torch-objects.ts'
// configuration and runs
export { assignedKeys, withOverride } from './config/overrides.ts'
export type { Preset } from './config/preset.ts'
export { presetNames, presetOf } from './config/presets.ts'
export { type ReadingLimits, readingConfig } from './config/reading.ts'
export {
  backboneOf,
  describeKeys,
  dimensionsOf,
  type KeyDescription,
  resolveConfig,
} from './config/resolve.ts'
export type { Config, ConfigInput } from './config/schema.ts'
export { expectUseful, modelReading } from './config/useless.ts'
export { type ErrorCode, SherdError } from './errors.ts'
// evaluate
export { type FrozenClassifier, logitsOf } from './evaluate/classifier.ts'
export {
  extractFeatures,
  type Features,
  type FrozenEncoder,
  tokensOf,
} from './evaluate/features.ts'
export { type KnnOptions, knnDefaults, knnVotes } from './evaluate/knn.ts'
export { fewOf, type Labelled, labelled, type Shots, splitByClass } from './evaluate/labelled.ts'
export {
  type LinearMap,
  type LinearProbeOptions,
  linearProbe,
  type Probed,
  sweeps,
} from './evaluate/linear-probe.ts'
export { type Overlap, overlapOf } from './evaluate/overlap.ts'
export { type ProtocolName, protocols } from './evaluate/protocols.ts'
export { meanAndDeviation, type Scores, scoresOf } from './evaluate/scores.ts'
export { type Segmented, segmentationDefaults, trainHead } from './evaluate/segmentation.ts'
export { type SegmentationHead, segmentationHeads } from './evaluate/segmentation-heads.ts'
export { type FrozenSegmenter, pixelLogitsOf } from './evaluate/segmenter.ts'
export { type Spread, spreadOf } from './evaluate/spread.ts'
// export, infer
export { checkGraph } from './export/check-graph.ts'
export { encoderGraph } from './export/encoder-graph.ts'
export { type FormatRow, formats, type GraphName } from './export/formats.ts'
export type { Graph } from './export/graph.ts'
export { onnxParts, readMetadata, writeParts } from './export/onnx-file.ts'
export { type ExportedEncoder, type PixelsInput, pixelsInput } from './export/pixels-input.ts'
export { positionsOf } from './export/positions-input.ts'
export { type ExportPrecision, precisions } from './export/precision.ts'
export { samplesOf } from './infer/pixels.ts'
export { openSession, type Session, type TensorData } from './infer/session.ts'
export { openSessionThread, type ThreadedSession } from './infer/session-thread.ts'
export { describeMachine, type MachineDescription } from './machine/describe.ts'
export { examine, type Finding } from './machine/doctor.ts'
export { measurePeak } from './machine/gemm.ts'
export { type PrecisionName, planMachine } from './machine/plan.ts'
export { type SetupResult, setUp } from './machine/setup.ts'
export {
  type Backbone,
  type BackboneShape,
  backboneRows,
  openBackbone,
  plainBackbone,
} from './model/backbone.ts'
export { decodeAll, decodeHidden } from './model/decoder.ts'
// model
export type { Dimensions } from './model/dimensions.ts'
export { encode, encoderRows } from './model/encoder.ts'
export {
  initialParameters,
  loadParameters,
  type ParameterRow,
  type Parameters,
  parameterCount,
  type Weights,
  weightsOf,
} from './model/parameters.ts'
export { sizes } from './model/sizes.ts'
export { type MaeOptions, mae } from './objective/mae.ts'
export type { Objective, Prediction } from './objective/objective.ts'
// optim, checkpoint, train
export { type AdamWOptions, type AdamWState, adamWStep, initialAdamW } from './optim/adamw.ts'
export { learningRateAt, type Schedule, scaledLearningRate } from './optim/schedule.ts'
// pictures
export { type Composite, compositesOf, compositeTile, stretchOf } from './picture/composite.ts'
export { drawLossCurve } from './picture/loss-curve.ts'
export { meanQuality, type Quality } from './picture/quality.ts'
export { type ReconstructionOptions, type Reconstructions, reconstruct } from './picture/reconstruction.ts'
export { drawReconstructions } from './picture/reconstruction-grid.ts'
export { depthNote } from './prepare/bit-depth.ts'
export { defaultMaxPixels } from './prepare/decode.ts'
export { type Batch, type Loader, type LoaderOptions, openLoader } from './prepare/loader.ts'
export {
  type ChannelStatistics,
  imagenetStatistics,
  normalizePixels,
  type Pixels,
  toImages,
} from './prepare/normalize.ts'
export { type PackOptions, type PackSummary, packImages } from './prepare/pack.ts'
export { quitIfStuck } from './prepare/quit.ts'
export { measureRasterStatistics } from './prepare/raster-statistics.ts'
export { measureStatistics } from './prepare/statistics.ts'
export { type Images, type Views, viewsOf } from './prepare/views.ts'
export { type Address, type Draws, draws } from './random/draws.ts'
export { channelStatistics, openData, rasterOptions } from './run/assemble.ts'
export { classifierLogits, type OpenedClassifier, openClassifier, saveProbe } from './run/classifier.ts'
export { type ClusterReport, findClusters } from './run/clusters.ts'
export { benchData } from './run/data-bench.ts'
export { type DuplicateReport, findDuplicates, shownOf } from './run/duplicates.ts'
export { type Embedder, embedFiles, openEmbedder } from './run/embedder.ts'
export { type EncoderRequest, type ModelOrigin, type OpenedEncoder, openEncoder } from './run/encoder.ts'
export {
  type ChosenMap,
  type EvaluateOptions,
  evaluate,
  findSplit,
  judge,
  judgeWithMap,
  openImages,
  type Report,
} from './run/evaluate.ts'
export { openReport, reportMarkdown, writeReport } from './run/evaluation-report.ts'
export type { RunEvent } from './run/events.ts'
export {
  type ExportedFolder,
  exportHuggingface,
  type HuggingfaceOptions,
} from './run/export-huggingface.ts'
export { type Exported, type ExportOptions, exportOnnx } from './run/export-onnx.ts'
export { exportTimm, type TimmOptions } from './run/export-timm.ts'
export { featureFormat, writeFeatures } from './run/feature-file.ts'
export { type FolderFeatures, featuresOf, featuresOfSource } from './run/features.ts'
export { type FinetuneOptions, type FinetuneSettings, finetune, finetuneDefaults } from './run/finetune.ts'
export { expectWritable, isBlank, type OpenedRun, openRun, writeWhole } from './run/folder.ts'
export { statisticsOf } from './run/foreign-facts.ts'
export { benchGemm } from './run/gemm-bench.ts'
export type { HuggingfaceDtype, HuggingfaceOnnx } from './run/huggingface-onnx.ts'
export { type Imported, type ImportOptions, importWeights } from './run/import.ts'
export { indexFeatures } from './run/index-features.ts'
export { type ImageIndex, type IndexFacts, openIndex } from './run/index-folder.ts'
export { type Asked, drawClusters, drawDuplicates, drawFound, drawOutliers } from './run/index-sheets.ts'
export { clustersTable, duplicatesTable, outliersTable } from './run/index-tables.ts'
export { type Inheritance, inherit } from './run/inherit.ts'
export { type LoadedModel, loadModel } from './run/load.ts'
export type { FolderLogits } from './run/logits.ts'
export { expectModel, type Indexed, type IndexOptions, indexFolder, updateIndex } from './run/make-index.ts'
export { withDeviation } from './run/markdown.ts'
export { type FolderSegmentation, type MaskFiles, writeMasks } from './run/mask-files.ts'
export { openModel, usualGraphs } from './run/model-parts.ts'
export { type OnnxClassifier, onnxLogits, openOnnxClassifier } from './run/onnx-classifier.ts'
export { type OnnxEncoder, onnxFeatures, onnxFeaturesOfSource, openOnnxEncoder } from './run/onnx-encoder.ts'
export { expectPlainRequest, type OnnxModel, openOnnxModel } from './run/onnx-model.ts'
export { type OnnxSegmenter, onnxSegmentation, openOnnxSegmenter } from './run/onnx-segmenter.ts'
export { findOutliers, type NamedOutlier } from './run/outliers.ts'
export { type Exhibit, loadExhibit, reconstructExhibit } from './run/pictures.ts'
export { type ImagePrediction, predictionsOf, writePredictions } from './run/prediction-file.ts'
export { type PretrainOptions, pretrain } from './run/pretrain.ts'
export { type Found, rowOfQuery, searchIndex, unknownQuery, vectorsOfRows } from './run/search-index.ts'
export { type SegmentationReport, type SegmentOptions, segment } from './run/segment.ts'
export { segmentationMarkdown, writeSegmentation } from './run/segmentation-report.ts'
export { type OpenedSegmenter, openSegmenter, segmentationOf } from './run/segmenter.ts'
export { openStepBench, type StepBench } from './run/step-bench.ts'
export { thumbnailOfFile, thumbnailsOf } from './run/thumbnails.ts'
export { openWeightsFile } from './run/weights-file.ts'
// search
export { type Agreement, agreementOf } from './search/agreement.ts'
export { type Clusters, clusterDefaults, clustersOf } from './search/clusters.ts'
export { type DuplicateGroup, duplicatesOf } from './search/duplicates.ts'
export { openExact } from './search/exact.ts'
export { buildGraph, type GraphSettings, graphDefaults, openGraph } from './search/graph.ts'
export { type Near, nearest } from './search/nearest.ts'
export { type Neighbourhoods, neighbourhoodsOf } from './search/neighbourhoods.ts'
export { type Outlier, outliersOf } from './search/outliers.ts'
export { silhouetteOf } from './search/silhouette.ts'
export { unitVectors, type Vectors } from './search/vectors.ts'
// serve
export { type Limits, limitDefaults } from './serve/limits.ts'
export { type ServeOptions, type Server, serve } from './serve/serve.ts'
// source, prepare
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
export { openRasterFolder, type RasterFolder, type RasterOptions } from './source/raster-folder.ts'
export { writeSatelliteData } from './source/sample-data/satellite/write.ts'
export { writeSampleData } from './source/sample-data/write.ts'
// target, objective
export { type BandStatistics, bandStatistics } from './target/bands.ts'
export { patchStatistics, pixelLoss, pixelTarget, withStatistics } from './target/pixels.ts'
// tensor
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
// token
export { type TimeField, timeFields } from './token/encoding.ts'
export { type Grid, gridOf } from './token/grid.ts'
export type { SpectralGroups } from './token/groups.ts'
export type { TokenLayout } from './token/layout.ts'
export { type MaskPlan, maskNoise, maskOf, planFromMask, planFromNoise } from './token/mask.ts'
export { type MaskDesign, randomMask } from './token/mask-design.ts'
export { keptCount, type MaskOrder, maskOrder } from './token/mask-order.ts'
export { patchify, unpatchify } from './token/patchify.ts'
export { type Pooling, pool } from './token/pool.ts'
export { sineCosinePositions } from './token/position.ts'
export { appendRows, type TableRows, tokenSequence } from './token/sequence.ts'
export type { StepEvent } from './train/events.ts'
export { type TrainOptions, train } from './train/loop.ts'
export type { Span } from './train/span.ts'
export { accumulateGradients, applyUpdate, type MicroBatch, type Trainee } from './train/step.ts'
export { type Check, type Verification, verifyFile } from './verify/verify.ts'
