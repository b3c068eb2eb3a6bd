// Runs a model with onnxruntime's C library, called by JNA; this file knows no model.
//     java -cp jna.jar -Djna.library.path=<folder of libonnxruntime.so> Run.java model.onnx calls.bin [h0=h_n ...]
// calls.bin is what run.c reads, and it prints the same: for each call a line of JSON with the outputs. With `h0=h_n`
// the output `h_n` of a call feeds the input `h0` of the next one, and the first call gives the state at the start.

import com.sun.jna.*;
import com.sun.jna.ptr.*;
import java.nio.*;
import java.nio.file.*;
import java.util.*;
import java.util.function.IntFunction;
import java.util.stream.*;

public class Run {
  // Places in the table OrtApi of onnxruntime_c_api.h. It grows at its end alone, so they are those of all versions.
  static final int GetErrorMessage = 2, CreateEnv = 3, CreateSession = 7, Run = 9, CreateSessionOptions = 10,
      SessionGetOutputCount = 31, SessionGetOutputName = 37, CreateTensorAsOrtValue = 48, GetTensorMutableData = 51,
      GetTensorElementType = 60, GetDimensionsCount = 61, GetDimensions = 62, GetTensorShapeElementCount = 64,
      GetTensorTypeAndShape = 65, GetAllocatorWithDefaultOptions = 78, ReleaseValue = 96,
      ReleaseTensorTypeAndShapeInfo = 99, WORD = Native.POINTER_SIZE;
  static final Map<Integer, String> TYPES = Map.of(1, "float32", 6, "int32", 7, "int64", 9, "bool", 11, "float64");
  static Pointer api;

  static Function function(int place) { return Function.getFunction(api.getPointer((long) place * WORD)); }
  static void call(int place, Object... given) {
    Pointer bad = function(place).invokePointer(given);
    if (bad != null) throw new IllegalStateException(function(GetErrorMessage).invokeString(new Object[] {bad}, false));
  }
  static Pointer made(int place, Object... given) {  // calls what writes its result to its last argument
    PointerByReference result = new PointerByReference();
    Object[] all = Arrays.copyOf(given, given.length + 1);
    all[given.length] = result;
    call(place, all);
    return result.getValue();
  }
  static byte[] bytes(String text) { return Native.toByteArray(text, "UTF-8"); }
  static StringArray texts(Collection<String> some) { return new StringArray(some.toArray(new String[0]), "UTF-8"); }

  static void read(ByteBuffer file, Pointer memory, Map<String, Pointer> given) {  // a Record, and its data
    byte[] name = new byte[64], data;
    long[] dims = new long[8];
    file.get(name);
    int type = (int) file.getLong();
    long rank = file.getLong();
    for (int k = 0; k < 8; k++) dims[k] = file.getLong();
    file.get(data = new byte[Math.toIntExact(file.getLong())]);
    Pointer value = made(CreateTensorAsOrtValue, memory, dims, rank, type);
    long width = type == 9 ? 1 : type == 7 || type == 11 ? 8 : 4, size = width;
    for (int k = 0; k < rank; k++) size *= dims[k];
    if (!TYPES.containsKey(type) || size != data.length) throw new IllegalArgumentException("a tensor of other size");
    made(GetTensorMutableData, value).write(0, data, 0, data.length);
    given.put(Native.toString(name, "UTF-8"), value);
  }

  static String described(String name, Pointer value) {
    Pointer info = made(GetTensorTypeAndShape, value), data = made(GetTensorMutableData, value);
    int type = (int) number(GetTensorElementType, info), size = (int) number(GetTensorShapeElementCount, info);
    long[] dims = new long[(int) number(GetDimensionsCount, info)];
    if (dims.length > 0) call(GetDimensions, info, dims, (long) dims.length);
    function(ReleaseTensorTypeAndShapeInfo).invokeVoid(new Object[] {info});
    IntFunction<Object> element = switch (type) {
      case 1 -> i -> finite(data.getFloat(4L * i));
      case 11 -> i -> finite(data.getDouble(8L * i));
      case 6 -> i -> data.getInt(4L * i);
      case 7 -> i -> data.getLong(8L * i);
      case 9 -> i -> data.getByte(i) != 0;
      default -> throw new IllegalArgumentException(name + ": a type that is not printed");
    };
    return String.format("\"%s\": {\"type\": \"%s\", \"dims\": %s, \"data\": %s}", name, TYPES.get(type),
        Arrays.toString(dims), IntStream.range(0, size).mapToObj(element).toList());
  }
  static Object finite(Number x) { return Double.isFinite(x.doubleValue()) ? x : "null"; }
  static long number(int place, Pointer of) {
    LongByReference result = new LongByReference();
    call(place, of, result);
    return result.getValue();
  }

  public static void main(String[] words) throws Exception {
    if (words.length < 2) {
      System.err.println("usage: java Run.java MODEL CALLS [STATE=OUTPUT ...]");
      System.exit(2);
    }
    Pointer base = NativeLibrary.getInstance("onnxruntime").getFunction("OrtGetApiBase").invokePointer(new Object[0]);
    api = Function.getFunction(base.getPointer(0)).invokePointer(new Object[] {17});
    Pointer memory = made(GetAllocatorWithDefaultOptions);
    Pointer environment = made(CreateEnv, 3, bytes("run")), options = made(CreateSessionOptions);
    Pointer session = made(CreateSession, environment, bytes(words[0]), options);
    List<String> outputs = new ArrayList<>();
    for (long i = 0; i < number(SessionGetOutputCount, session); i++)
      outputs.add(made(SessionGetOutputName, session, i, memory).getString(0, "UTF-8"));
    Map<String, String> states = new LinkedHashMap<>();
    for (int i = 2; i < words.length; i++) states.put(words[i].split("=")[0], words[i].split("=")[1]);
    if (!outputs.containsAll(states.values())) throw new IllegalArgumentException("the outputs are " + outputs);
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(Path.of(words[1]))).order(ByteOrder.LITTLE_ENDIAN);
    Map<String, Pointer> results = new LinkedHashMap<>();
    while (file.hasRemaining()) {
      Map<String, Pointer> given = new LinkedHashMap<>();
      states.forEach((input, output) -> { if (results.containsKey(output)) given.put(input, results.get(output)); });
      for (long tensors = file.getLong(); tensors > 0; tensors--) read(file, memory, given);
      Memory values = new Memory((long) WORD * outputs.size());
      values.clear();
      call(Run, session, null, texts(given.keySet()), given.values().toArray(new Pointer[0]), (long) given.size(),
          texts(outputs), (long) outputs.size(), values);
      for (Pointer value : new HashSet<>(Stream.concat(results.values().stream(), given.values().stream()).toList()))
        function(ReleaseValue).invokeVoid(new Object[] {value});
      for (int i = 0; i < outputs.size(); i++) results.put(outputs.get(i), values.getPointer((long) WORD * i));
      List<String> line = results.entrySet().stream().map(e -> described(e.getKey(), e.getValue())).toList();
      System.out.println("{" + String.join(", ", line) + "}");
    }
  }
}
