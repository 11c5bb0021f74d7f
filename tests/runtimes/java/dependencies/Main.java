import com.google.gson.JsonObject;
import greeter.Greeter;

public class Main {
    public static JsonObject main(JsonObject args) {
        return Greeter.greet(args.get("name").getAsString());
    }
}
