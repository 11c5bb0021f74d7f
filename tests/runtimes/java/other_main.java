package com.example;

import com.google.gson.JsonObject;

public class Other {
    public static JsonObject niam(JsonObject args) {
        return args;
    }
}
