// Trains a model with onnxruntime's C API: cc drive.c -I<include> -L<lib> -lonnxruntime -o drive
//     ./drive vowels.train.onnx vowels.init.onnx batches.bin 10
// batches.bin holds batches: the number of tensors (int64), then each tensor: a Record, and its data. This file knows no
// model: an output `next.X` feeds the input `X`.
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define TRY(call) do { OrtStatus *bad = (call); if (bad) { puts(api->GetErrorMessage(bad)); exit(1); } } while (0)
typedef struct { char name[64]; int64_t type, rank, dims[8], bytes; } Record;  // ONNX's number of the type
typedef struct { char *names[4096]; OrtValue *values[4096]; size_t count; } Named;
static const OrtApi *api; static OrtAllocator *memory;
static OrtSession *opened(OrtEnv *env, OrtSessionOptions *options, const char *path, Named *outputs) {
  OrtSession *session;
  TRY(api->CreateSession(env, path, options, &session));
  TRY(api->SessionGetOutputCount(session, &outputs->count));
  for (size_t i = 0; i < outputs->count; i++) TRY(api->SessionGetOutputName(session, i, memory, &outputs->names[i]));
  return session;
}
static void run(OrtSession *session, Named *given, Named *results) {
  memset(results->values, 0, sizeof results->values);
  TRY(api->Run(session, NULL, (const char *const *)given->names, (const OrtValue *const *)given->values, given->count,
               (const char *const *)results->names, results->count, results->values));
}
static void *data_of(OrtValue *value) { void *data; TRY(api->GetTensorMutableData(value, &data)); return data; }
int main(int count, char **words) {
  static Named none, given, results; static Record records[64];  // `given` holds the state, then a batch
  OrtEnv *env; OrtSessionOptions *options;
  api = OrtGetApiBase()->GetApi(17);
  TRY(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "drive", &env));
  TRY(api->CreateSessionOptions(&options)); TRY(api->GetAllocatorWithDefaultOptions(&memory));
  FILE *file = count == 5 ? fopen(words[3], "rb") : NULL;
  if (!file) return puts("drive STEP INIT BATCHES EPOCHS"), 2;
  run(opened(env, options, words[2], &given), &none, &given);
  OrtSession *step = opened(env, options, words[1], &results);
  size_t state = given.count, i;
  for (int epoch = 0; epoch < atoi(words[4]); epoch++, rewind(file)) {
    double sum = 0, batches = 0;
    for (int64_t tensors; fread(&tensors, 8, 1, file) == 1; batches++) {
      given.count = state + tensors;
      for (Record *r = records; r < records + tensors; r++) {
        if (tensors > 64 || fread(r, sizeof *r, 1, file) != 1) return 2;
        OrtValue **value = &given.values[state + (r - records)];
        TRY(api->CreateTensorAsOrtValue(memory, r->dims, r->rank, (ONNXTensorElementDataType)r->type, value));
        if (fread(data_of(*value), 1, r->bytes, file) != (size_t)r->bytes) return 2;
        given.names[state + (r - records)] = r->name;
      }
      run(step, &given, &results);
      for (i = 0; i < given.count; i++) api->ReleaseValue(given.values[i]);
      for (size_t k = 0; k < results.count; k++) {
        const char *name = results.names[k], *of = strncmp(name, "next.", 5) ? "" : name + 5;
        for (i = 0; i < state && strcmp(of, given.names[i]); i++) {}
        if (!strcmp(name, "loss")) sum += *(float *)data_of(results.values[k]);
        if (i < state) given.values[i] = results.values[k]; else api->ReleaseValue(results.values[k]);
      }
    }
    printf("epoch %d  loss %.6f\n", epoch, sum / batches);
  }
}
