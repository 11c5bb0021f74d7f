package greeter;

import com.google.gson.JsonObject;

public class Greeter {
    public static JsonObject greet(String name) {
        JsonObject result = new JsonObject();
        result.addProperty("greeting", "Hello " + name + "!");
        return result;
    }
}
