import com.google.gson.JsonArray;
import com.google.gson.JsonObject;

public class Main {
    public static JsonObject main(JsonObject args) {
        print();
        return args;
    }

    public static JsonArray main(JsonArray args) {
        print();
        return args;
    }

    private static void print() {
        System.out.println("hello stdout");
        System.err.println("hello stderr");
    }
}
