// Tabs: what the tabs of one dashboard tell each other: that one is looked at, since a browser keeps few connections to
// one server; and the token, for a tab that has none. Only pages of this origin hear it.

const NAME = "titan-state";

export class Tabs {
  /**
   * @param {{looked: function(), wanted: function(): ?string, given: function(string)}} listener another tab is looked
   *   at; another tab wants the token; another tab gives it
   */
  constructor(listener) {
    this.channel = new BroadcastChannel(NAME);
    this.channel.addEventListener("message", ({ data }) => {
      if (data?.type === "looked") listener.looked();
      else if (data?.type === "given" && typeof data.token === "string") listener.given(data.token);
      else if (data?.type === "wanted") {
        const token = listener.wanted();
        if (token !== null) this.channel.postMessage({ type: "given", token });
      }
    });
  }

  /** Tell that this tab is looked at. */
  look() {
    this.channel.postMessage({ type: "looked" });
  }

  /** Ask the others for the token. */
  ask() {
    this.channel.postMessage({ type: "wanted" });
  }
}
