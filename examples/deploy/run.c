// Runs a model with onnxruntime's C API: cc run.c -I<include> -L<lib> -lonnxruntime -o run
//     ./run model.onnx calls.bin [h0=h_n ...]
// calls.bin holds calls: the number of tensors (int64), then each tensor: a Record, and its data. For each call it
// prints the outputs as a line of JSON, where NaN and infinities are null. With `h0=h_n` the calls are the pieces of a
// stream: the output `h_n` of a call feeds the input `h0` of the next one; the first call gives the state at the start.
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define MOST 256
#define FAIL(...) do { fprintf(stderr, __VA_ARGS__); fputc('\n', stderr); exit(1); } while (0)
#define TRY(call) do { OrtStatus *bad = (call); if (bad) FAIL("%s", api->GetErrorMessage(bad)); } while (0)
typedef struct { char name[64]; int64_t type, rank, dims[8], bytes; } Record;  // ONNX's number of the type
typedef struct { const char *input, *output; OrtValue *value; } State;
static const char *TYPES[] = {[1] = "float32", [6] = "int32", [7] = "int64", [9] = "bool", [11] = "float64"};
static const int64_t WIDTHS[12] = {[1] = 4, [6] = 4, [7] = 8, [9] = 1, [11] = 8};
static const OrtApi *api;
static OrtValue *read_tensor(FILE *file, Record *r, OrtAllocator *memory) {
  OrtValue *value; void *data;
  if (fread(r, sizeof *r, 1, file) != 1 || r->rank < 0 || r->rank > 8) FAIL("no record of a tensor");
  int64_t bytes = r->type > 0 && r->type < 12 ? WIDTHS[r->type] : 0;
  for (int64_t k = 0; k < r->rank; k++) bytes *= r->dims[k];
  TRY(api->CreateTensorAsOrtValue(memory, r->dims, r->rank, (ONNXTensorElementDataType)r->type, &value));
  TRY(api->GetTensorMutableData(value, &data));
  if (bytes != r->bytes || fread(data, 1, bytes, file) != (size_t)bytes) FAIL("%s: wrong number of bytes", r->name);
  return value;
}
static void print(const char *name, OrtValue *value) {
  OrtTensorTypeAndShapeInfo *info; ONNXTensorElementDataType type; size_t rank, size; int64_t dims[8]; void *data;
  TRY(api->GetTensorTypeAndShape(value, &info)); TRY(api->GetTensorElementType(info, &type));
  TRY(api->GetDimensionsCount(info, &rank)); TRY(api->GetTensorShapeElementCount(info, &size));
  if (rank > 8 || type > 11 || !TYPES[type]) FAIL("%s: a type or a number of axes that is not printed", name);
  TRY(api->GetDimensions(info, dims, rank)); TRY(api->GetTensorMutableData(value, &data));
  api->ReleaseTensorTypeAndShapeInfo(info);
  printf("\"%s\": {\"type\": \"%s\", \"dims\": [", name, TYPES[type]);
  for (size_t k = 0; k < rank; k++) printf("%s%lld", k ? ", " : "", (long long)dims[k]);
  printf("], \"data\": [");
  for (size_t i = 0; i < size; i++) {
    double x = type == 1 ? ((float *)data)[i] : type == 11 ? ((double *)data)[i] : 0;
    fputs(i ? ", " : "", stdout);
    if (type == 9) fputs(((char *)data)[i] ? "true" : "false", stdout);
    else if (type == 6) printf("%d", ((int32_t *)data)[i]);
    else if (type == 7) printf("%lld", (long long)((int64_t *)data)[i]);
    else if (x - x != 0) fputs("null", stdout);
    else printf("%.*g", type == 1 ? 9 : 17, x);
  }
  printf("]}");
}
int main(int count, char **words) {
  static Record records[MOST]; static State states[MOST];
  const char *names[MOST]; OrtValue *given[MOST], *results[MOST]; char *outputs[MOST];
  OrtEnv *env; OrtSessionOptions *options; OrtAllocator *memory; OrtSession *session; size_t made, i; int k;
  FILE *file = count >= 3 && count - 3 <= MOST ? fopen(words[2], "rb") : NULL;
  if (!file) FAIL("run MODEL CALLS [STATE=OUTPUT ...]");
  api = OrtGetApiBase()->GetApi(17);
  TRY(api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "run", &env)); TRY(api->CreateSessionOptions(&options));
  TRY(api->GetAllocatorWithDefaultOptions(&memory)); TRY(api->CreateSession(env, words[1], options, &session));
  TRY(api->SessionGetOutputCount(session, &made));
  if (made > MOST) FAIL("the model has more than %d outputs", MOST);
  for (i = 0; i < made; i++) TRY(api->SessionGetOutputName(session, i, memory, &outputs[i]));
  for (k = 3; k < count; k++) {
    char *equals = strchr(words[k], '=');
    if (!equals) FAIL("%s is no STATE=OUTPUT", words[k]);
    *equals = 0, states[k - 3] = (State){words[k], equals + 1, NULL};
    for (i = 0; i < made && strcmp(outputs[i], equals + 1); i++) {}
    if (i == made) FAIL("there is no output %s", equals + 1);
  }
  for (int64_t tensors; fread(&tensors, 8, 1, file) == 1;) {
    if (tensors < 0 || tensors + count - 3 > MOST) FAIL("more than %d inputs", MOST);
    size_t taken = tensors;
    for (i = 0; i < taken; i++) given[i] = read_tensor(file, &records[i], memory), names[i] = records[i].name;
    for (State *s = states; s < states + count - 3; s++) {  // what the call itself gives goes first
      for (i = 0; i < (size_t)tensors && strcmp(names[i], s->input); i++) {}
      if (i == (size_t)tensors && s->value) names[taken] = s->input, given[taken++] = s->value;
      else if (s->value) api->ReleaseValue(s->value);
      s->value = NULL;
    }
    memset(results, 0, sizeof results);
    TRY(api->Run(session, NULL, names, (const OrtValue *const *)given, taken,
                 (const char *const *)outputs, made, results));
    for (i = 0; i < taken; i++) api->ReleaseValue(given[i]);
    for (i = 0; i < made; i++) {
      printf("%s", i ? ", " : "{"), print(outputs[i], results[i]);
      for (k = 3; k < count && strcmp(states[k - 3].output, outputs[i]); k++) {}
      if (k < count) states[k - 3].value = results[i]; else api->ReleaseValue(results[i]);
    }
    puts("}");
  }
}
