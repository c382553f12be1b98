// Starts Swagger UI on this server's own document. A file of its own, so that the page needs no
// inline script and the Content-Security-Policy can refuse all of them.
"use strict";

// Whatever the document or a $ref in it says, this page talks to the server it came from only.
function sameOriginOnly(request) {
  const target = new URL(request.url, window.location.href);
  if (target.origin !== window.location.origin) {
    throw new Error("okmsd: refused a request to another origin: " + target.origin);
  }
  return request;
}

window.addEventListener("DOMContentLoaded", function () {
  window.SwaggerUIBundle({
    dom_id: "#swagger-ui",
    // The document is fixed here; ?url= and ?configUrl= in the address have no effect.
    url: "/openapi.json",
    queryConfigEnabled: false,
    presets: [window.SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    // Two hundred operations are found by their tags, and drawing all of them takes seconds.
    docExpansion: "none",
    tryItOutEnabled: true,
    // Nothing typed into the page outlives it, and nothing is sent to a validator.
    persistAuthorization: false,
    validatorUrl: null,
    displayRequestDuration: true,
    requestInterceptor: sameOriginOnly
  });
});
