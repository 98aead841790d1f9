/** The microphone, as it is: what makes speech pleasant ruins other sounds. A browser that cancels echo, takes noise
 * away and evens the loudness leaves little of a rooster or of rain. */

import { ApiError } from "./api.js";
import { TEXT } from "./strings.js";

export const canRecord = () => Boolean(window.isSecureContext && navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

/** Starts to record. Returns {stop}, which gives the recording as a File. */
export async function startRecording() {
  if (!canRecord()) throw new ApiError(0, { message: TEXT.noMicrophone });
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
  } catch {
    throw new ApiError(0, { message: TEXT.microphoneRefused });
  }
  const type = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"].find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = new MediaRecorder(stream, type ? { mimeType: type } : undefined);
  const pieces = [];
  recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
  recorder.start();
  const end = () => stream.getTracks().forEach((track) => track.stop());
  return {
    cancel: () => { if (recorder.state !== "inactive") recorder.stop(); end(); },
    stop: () => new Promise((done) => {
      recorder.addEventListener("stop", () => {
        end();
        const kind = (recorder.mimeType || type || "audio/webm").split(";")[0];
        done(new File(pieces, `recording.${kind.split("/")[1]}`, { type: kind }));
      });
      recorder.stop();
    }),
  };
}
