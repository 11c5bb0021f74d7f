import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;

public class Main {
    public static JsonElement main(JsonObject args) {
        return new JsonPrimitive("not an object");
    }
}
