import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Loads one Java action and runs it, once for every line the action proxy sends.
 *
 * <p>Called as {@code Launcher CODE_DIR MAIN}. Requests come in on descriptor 0, answers leave on descriptor 3, one
 * line of JSON each; descriptors 1 and 2 are the action's logs. The first answer says whether the action could be
 * loaded, and if not, why. (The protocol is upstream's, apache/openwhisk-runtime-go: docs/ACTION.md; the member
 * {@code error} of the first answer is ours.) An action is a public static method from JsonObject or JsonArray to
 * either, in the class that MAIN names: {@code package.Class} or {@code package.Class#method}.
 */
final class Launcher {
    private static final List<Class<?>> ARGUMENTS = List.of(JsonObject.class, JsonArray.class, JsonElement.class);

    /** The platform knows this end for a want of memory; nothing can be relied on any more. */
    private static final int EXHAUSTED = 235;

    /** Given up where there is nothing else left, to end in order. */
    private static byte[] reserve = new byte[256 * 1024];

    private final Class<?> type;
    private final String method;
    private final Map<String, String> environment = environment();

    private Launcher(ClassLoader loader, String main) throws ClassNotFoundException, NoSuchMethodException {
        int mark = main.indexOf('#');
        String name = mark < 0 ? main : main.substring(0, mark);
        method = mark < 0 || mark + 1 == main.length() ? "main" : main.substring(mark + 1);
        type = Class.forName(name.equals("main") ? "Main" : name, true, loader);
        if (Stream.of(type.getMethods()).noneMatch(this::isAction)) {
            throw new NoSuchMethodException("The class " + type.getName() + " has no method 'public static JsonObject "
                    + method + "(JsonObject)'.");
        }
    }

    private boolean isAction(Method candidate) {
        Class<?>[] arguments = candidate.getParameterTypes();
        return candidate.getName().equals(method) && Modifier.isStatic(candidate.getModifiers())
                && arguments.length == 1 && ARGUMENTS.contains(arguments[0])
                && JsonElement.class.isAssignableFrom(candidate.getReturnType());
    }

    /** The method for such an argument. */
    private Method action(JsonElement argument) throws NoSuchMethodException {
        for (Class<?> wanted : List.of(argument.getClass(), JsonElement.class)) {
            try {
                Method found = type.getMethod(method, wanted);
                if (isAction(found)) {
                    // Its class need not be public.
                    found.setAccessible(true);
                    return found;
                }
            } catch (NoSuchMethodException absent) {
                // The other one, perhaps.
            }
        }
        String kind = argument.getClass().getSimpleName();
        throw new NoSuchMethodException("The class " + type.getName() + " has no method '" + method + "' that takes a "
                + kind + ".");
    }

    /** The answer to one request. */
    private JsonElement run(JsonObject request) {
        for (Map.Entry<String, JsonElement> entry : request.entrySet()) {
            JsonElement value = entry.getValue();
            if (!entry.getKey().equals("value") && value.isJsonPrimitive() && value.getAsJsonPrimitive().isString()) {
                environment.put("__OW_" + entry.getKey().toUpperCase(), value.getAsString());
            }
        }
        JsonElement value = request.get("value");
        JsonElement argument = value == null || value.isJsonNull() ? new JsonObject() : value;
        try {
            JsonElement result = (JsonElement) action(argument).invoke(null, argument);
            return result == null ? failure("The action returned null.") : result;
        } catch (InvocationTargetException thrown) {
            Throwable cause = thrown.getCause();
            if (cause instanceof OutOfMemoryError exhausted) {
                throw exhausted;
            }
            cause.printStackTrace();
            return failure("An error has occurred while invoking the action (see logs for details): " + cause);
        } catch (ReflectiveOperationException | RuntimeException wrong) {
            wrong.printStackTrace();
            return failure("An error has occurred (see logs for details): " + wrong);
        }
    }

    private static JsonObject failure(String text) {
        JsonObject failure = new JsonObject();
        failure.addProperty("error", text);
        return failure;
    }

    /** The map behind {@code System.getenv}, which can be written to: the proxy's words are not known at the start. */
    @SuppressWarnings("unchecked")
    private static Map<String, String> environment() {
        try {
            Field field = Collections.unmodifiableMap(Map.of()).getClass().getDeclaredField("m");
            field.setAccessible(true);
            return (Map<String, String>) field.get(System.getenv());
        } catch (ReflectiveOperationException closed) {
            throw new IllegalStateException("java.util is not opened to this program", closed);
        }
    }

    /** The action's folder, which is a jar that was unpacked, and all jars in it. */
    private static ClassLoader loader(Path code) throws IOException {
        List<URL> urls = new ArrayList<>(List.of(code.toUri().toURL()));
        try (Stream<Path> files = Files.walk(code)) {
            for (Path jar : files.filter(file -> file.toString().endsWith(".jar")).sorted().toList()) {
                urls.add(jar.toUri().toURL());
            }
        }
        return new URLClassLoader(urls.toArray(URL[]::new), Launcher.class.getClassLoader());
    }

    /** Log lines count towards the run that printed them only if they are out before its answer. */
    private static void send(OutputStream answers, JsonElement answer) throws IOException {
        System.out.flush();
        System.err.flush();
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        line.write(answer.toString().getBytes(StandardCharsets.UTF_8));
        line.write('\n');
        line.writeTo(answers);
    }

    private static PrintStream utf8(FileDescriptor output) {
        return new PrintStream(new BufferedOutputStream(new FileOutputStream(output)), false, StandardCharsets.UTF_8);
    }

    private static String text(Throwable error) {
        String text = error instanceof NoSuchMethodException ? error.getMessage() : error.toString();
        return error instanceof ExceptionInInitializerError ? text + ": " + error.getCause() : text;
    }

    public static void main(String[] arguments) throws IOException {
        InputStream input = System.in;
        BufferedReader requests = new BufferedReader(new InputStreamReader(input, StandardCharsets.UTF_8));
        System.setIn(InputStream.nullInputStream());
        System.setOut(utf8(FileDescriptor.out));
        System.setErr(utf8(FileDescriptor.err));
        try (OutputStream answers = new FileOutputStream("/dev/fd/3")) {
            Launcher launcher;
            try {
                ClassLoader loader = loader(Path.of(arguments[0]));
                Thread.currentThread().setContextClassLoader(loader);
                launcher = new Launcher(loader, arguments[1]);
            } catch (ReflectiveOperationException | IOException | LinkageError error) {
                error.printStackTrace();
                JsonObject refusal = failure(text(error));
                refusal.addProperty("ok", false);
                send(answers, refusal);
                System.exit(1);
                return;
            }
            JsonObject loaded = new JsonObject();
            loaded.addProperty("ok", true);
            send(answers, loaded);
            for (String line = requests.readLine(); line != null; line = requests.readLine()) {
                send(answers, launcher.run(JsonParser.parseString(line).getAsJsonObject()));
            }
        } catch (OutOfMemoryError exhausted) {
            reserve = null;
            try {
                exhausted.printStackTrace();
            } finally {
                // Even where there was no memory left to say so.
                Runtime.getRuntime().halt(EXHAUSTED);
            }
        }
        // Threads of the action do not keep it.
        System.exit(0);
    }
}
